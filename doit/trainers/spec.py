"""The trainer spec: what `trainers/<name>.yaml` must obey. It says how a model is tuned on a mixture.

Only the description lives here: no torch, no training.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from doit.errors import SpecError
from doit.schemas.base import Frozen
from doit.schemas.card import Name

Targets = tuple[Annotated[str, StringConstraints(min_length=1)], ...] | Literal["all-linear"]
"""Names of the layers to adapt, as the model calls them; `all-linear` = every linear layer but the output head."""


def _no_switch(value: Any) -> Any:
    """Refuse `true` where a number belongs: it would be read as 1."""
    if isinstance(value, bool):
        raise ValueError(f"must be a number, not {str(value).lower()}")
    return value


_Written = BeforeValidator(_no_switch)
Positive = Annotated[int, Field(ge=1), _Written]
Steps = Annotated[int, Field(ge=0), _Written]
Share = Annotated[float, Field(ge=0, lt=1), _Written]
Above0 = Annotated[float, Field(gt=0, allow_inf_nan=False), _Written]
AtLeast0 = Annotated[float, Field(ge=0, allow_inf_nan=False), _Written]


class Method(Frozen):
    """What of the model is trained."""

    kind: str


class Full(Method):
    """Every weight of the model."""

    kind: Literal["full"] = "full"


class Lora(Method):
    """Two thin matrices beside each chosen layer (arXiv 2106.09685)."""

    kind: Literal["lora"] = "lora"
    rank: Positive = 8
    alpha: Above0 = 16
    """Scale of the update: alpha / rank, or alpha / sqrt(rank) with `rslora`."""
    dropout: Share = 0.05
    targets: Targets = "all-linear"
    rslora: bool = False
    """Scale by the square root of the rank (arXiv 2312.03732)."""
    dora: bool = False
    """Train length and direction of the weights apart (arXiv 2402.09353)."""
    pissa: bool = False
    """Start from the weights' largest singular values (arXiv 2404.02948)."""

    @model_validator(mode="after")
    def _targets_named(self) -> Lora:
        _check_targets(self.targets)
        return self


class QLora(Lora):
    """LoRA over a model whose frozen weights are quantised (arXiv 2305.14314)."""

    kind: Literal["qlora"] = "qlora"  # type: ignore[assignment]
    bits: Literal[4, 8] = 4
    """Bits of a frozen weight; 4 is NF4."""
    double_quantisation: bool = True
    """Quantise the quantisation constants too (4 bits only)."""

    @model_validator(mode="after")
    def _plain_start(self) -> QLora:
        if self.pissa:
            raise SpecError("D207", "`pissa` needs weights that are not quantised.", hint="Use `kind: lora`.")
        return self


class AdaLora(Method):
    """LoRA whose ranks are moved to where they matter while training (arXiv 2303.10512)."""

    kind: Literal["adalora"] = "adalora"
    init_rank: Positive = 12
    """Rank of each layer at the start."""
    rank: Positive = 8
    """Mean rank at the end."""
    alpha: Above0 = 16
    dropout: Share = 0.05
    targets: Targets = "all-linear"
    beta: tuple[Share, Share] = (0.85, 0.85)
    """Smoothing of the importance and of its uncertainty."""
    start: Steps = 200
    """Steps before ranks begin to fall."""
    end: Steps = 1000
    """Last steps, in which ranks stay."""
    every: Positive = 10
    """Steps between two changes of ranks."""

    @model_validator(mode="after")
    def _falls(self) -> AdaLora:
        _check_targets(self.targets)
        if self.rank > self.init_rank:
            what = f"rank is {self.rank}, more than init_rank {self.init_rank}."
            raise SpecError("D207", what, hint="AdaLoRA begins with a rank that is too large and lowers it.")
        return self


class Ia3(Method):
    """One learned factor for each channel of the chosen layers (arXiv 2205.05638)."""

    kind: Literal["ia3"] = "ia3"
    targets: tuple[str, ...] = Field(default=("k_proj", "v_proj", "down_proj"), min_length=1)
    """Names of the layers that are scaled."""
    feedforward: tuple[str, ...] = ("down_proj",)
    """Those of them that are scaled at their input: the feed-forward ones."""

    @model_validator(mode="after")
    def _inside(self) -> Ia3:
        outside = [name for name in self.feedforward if name not in self.targets]
        if outside:
            raise SpecError("D207", f"`feedforward` names {outside[0]!r}, which `targets` lacks.")
        return self


class Prefix(Method):
    """Learned keys and values before the first token of every layer (arXiv 2101.00190)."""

    kind: Literal["prefix"] = "prefix"
    tokens: Positive = 20
    """Virtual tokens."""
    projection: bool = False
    """Make the prefix with a small network, which is dropped after training."""
    hidden: Positive = 128
    """Width of that network."""


class Prompt(Method):
    """Learned embeddings before the first token (arXiv 2104.08691)."""

    kind: Literal["prompt"] = "prompt"
    tokens: Positive = 20
    """Virtual tokens."""


class PTuning(Method):
    """Learned embeddings before the first token, made by a small network (arXiv 2103.10385)."""

    kind: Literal["p_tuning"] = "p_tuning"
    tokens: Positive = 20
    """Virtual tokens."""
    hidden: Positive = 128
    """Width of the network."""


class Adapter(Method):
    """Bottleneck layers between or beside the model's own (arXiv 1902.00751, 2005.00052, 2110.04366)."""

    kind: Literal["adapter"] = "adapter"
    placement: Literal["sadapter_h", "sadapter_p", "parallel"] = "sadapter_p"
    """In series before and after the feed-forward block, in series after it alone, or beside a layer."""
    bottleneck: Positive = 64
    """Width of the bottleneck."""


class Embeddings(Method):
    """The word embeddings alone, as after an extension of the vocabulary (arXiv 2304.07854)."""

    kind: Literal["embeddings"] = "embeddings"


class Peft(Method):
    """Any other method of the PEFT library."""

    kind: Literal["peft"] = "peft"
    config: dict[str, Any]
    """The keys of its configuration; `peft_type` names the method."""

    @model_validator(mode="after")
    def _typed(self) -> Peft:
        if not isinstance(self.config.get("peft_type"), str):
            raise SpecError("D204", "`config` needs `peft_type`.", hint="Such as `peft_type: LOHA`.")
        return self


AnyMethod = Annotated[
    Full | Lora | QLora | AdaLora | Ia3 | Prefix | Prompt | PTuning | Adapter | Embeddings | Peft,
    Field(discriminator="kind"),
]

METHODS: dict[str, type[Method]] = {
    member.model_fields["kind"].default: member for member in get_args(get_args(AnyMethod)[0])
}
"""Kind -> its class, from the union."""


class Optimizer(Frozen):
    """AdamW and the course of its learning rate."""

    lr: Above0 = 2e-4
    """Highest learning rate."""
    final_lr: AtLeast0 = 0.0
    """Learning rate that a falling schedule has come to when the last step is done."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: AtLeast0 = 0.03
    """Under 1: the part of all steps in which the rate rises to `lr`. From 1 on: a number of steps."""
    weight_decay: AtLeast0 = 0.0
    betas: tuple[Share, Share] = (0.9, 0.999)
    """Decay of the first and of the second moment."""
    clip: AtLeast0 = 1.0
    """Largest norm of all gradients together; 0 sets no limit."""

    @model_validator(mode="after")
    def _course(self) -> Optimizer:
        if self.warmup >= 1 and not self.warmup.is_integer():
            raise SpecError("D204", f"warmup is {self.warmup}.", hint="Give a part below 1, or whole steps.")
        if self.final_lr > self.lr:
            raise SpecError("D207", f"final_lr is {self.final_lr}, more than lr {self.lr}.")
        return self


Seed = Annotated[int, Field(ge=-(2**63), lt=2**63), _Written]
"""What generators of random numbers take."""


class NewModel(Frozen):
    """A model made from its configuration alone, with weights drawn by the seed."""

    config: dict[str, Any]
    """The keys of a transformers configuration; `model_type` names the architecture, such as `llama`."""

    @model_validator(mode="after")
    def _typed(self) -> NewModel:
        if not isinstance(self.config.get("model_type"), str):
            raise SpecError("D204", "`config` needs `model_type`.", hint="Such as `model_type: llama`.")
        return self


class FittedTokenizer(Frozen):
    """A byte-level tokenizer that is fitted on the mixture's training texts."""

    fit: Annotated[int, Field(ge=300, le=200_000), _Written]
    """Size of its vocabulary; 256 of it are the bytes, so that every text can be written."""


_Place = Annotated[str, StringConstraints(min_length=1)]


class TrainerSpec(Frozen):
    """One way to tune a model. `doit list trainers` shows those that are shipped."""

    name: Name
    about: str | None = None
    """A sentence for the reader."""
    model: _Place | NewModel
    """Folder of a model, or its id on the Hugging Face Hub; or `{config: {…}}`, which makes a new one."""
    revision: _Place | None = None
    """Commit of the model's repository on the Hub."""
    tokenizer: _Place | FittedTokenizer | None = None
    """Folder or Hub id of the tokenizer; the model's own if not given; `{fit: 4000}` fits one on the mixture."""
    method: AnyMethod
    template: Literal["model", "alpaca", "belle", "doit", "chatml"] = "model"
    """How a conversation becomes text: the model's own chat template, or one of the papers'."""
    supervise: Literal["all_turns", "last_turn"] = "all_turns"
    """Which of the assistant's turns are learned."""
    reasoning: Literal["keep", "mask", "drop"] = "keep"
    """Reasoning before an answer: learned with it, seen but not learned, or left out."""
    max_tokens: Positive = 2048
    """Longest training row."""
    over_length: Literal["drop", "cut_turns", "truncate", "split"] = "drop"
    """What happens to a longer conversation: left out, shortened by whole turns, cut at the limit, or made several."""
    packing: Literal["auto"] | bool = "auto"
    """Put several conversations into one row; `auto` does so where they cannot see each other."""
    epochs: Above0 | None = None
    """Passes over the mixture; 3 if neither this nor `steps` is given."""
    steps: Positive | None = None
    """Updates of the weights, in place of `epochs`."""
    batch_tokens: Positive | None = None
    """Tokens of one update."""
    batch_records: Positive | None = None
    """Conversations of one update; 32 if neither this nor `batch_tokens` is given."""
    accumulate: Positive = 1
    """Parts in which one update's batch is computed."""
    optimizer: Optimizer = Optimizer()
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    evaluate_every: Positive | None = None
    """Steps between two evaluations; none before the end if not given."""
    save_every: Positive | None = None
    """Steps between two checkpoints; one after every epoch if not given."""
    recompute: bool = False
    """Compute activations again on the way back instead of keeping them: slower, in much less memory."""
    seed: Seed = 0

    @model_validator(mode="before")
    @classmethod
    def _usual_length_and_batch(cls, data: Any) -> Any:
        """Fill in the usual one of two fields where neither is written."""
        if not isinstance(data, dict):
            return data
        filled = dict(data)
        for chosen, other, usual in (("epochs", "steps", 3), ("batch_records", "batch_tokens", 32)):
            if filled.get(chosen) is None and filled.get(other) is None:
                filled[chosen] = usual
        return filled

    @model_validator(mode="after")
    def _one_of_two(self) -> TrainerSpec:
        for chosen, other in (("epochs", "steps"), ("batch_records", "batch_tokens")):
            if getattr(self, chosen) is not None and getattr(self, other) is not None:
                hint = f"Leave one of them out, as with `--set {chosen}=null`."
                raise SpecError("D207", f"both `{chosen}` and `{other}` are given.", hint=hint)
        if self.batch_records is not None and self.batch_records % self.accumulate:
            what = f"batch_records {self.batch_records} cannot be computed in {self.accumulate} equal parts."
            raise SpecError("D207", what, hint="Make `accumulate` a divisor of `batch_records`.")
        if isinstance(self.model, NewModel) and (self.tokenizer is None or self.revision is not None):
            what = (
                "a new model has no tokenizer of its own." if self.tokenizer is None else "a new model has no revision."
            )
            hint = "Write `tokenizer: {fit: 4000}`, or name one." if self.tokenizer is None else "Leave it out."
            raise SpecError("D207", what, hint=hint)
        return self


def _check_targets(targets: Targets) -> None:
    if not targets:
        raise SpecError("D204", "`targets` is empty.", hint="Name layers, or write `all-linear`.")
