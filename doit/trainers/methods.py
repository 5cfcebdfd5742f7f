"""What each method trains of a model: one class a method, which wraps the model, steers it and saves what was trained.

All of them stand on the PEFT library but full tuning and the embeddings, which need none.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib
import math
from pathlib import Path
from typing import Any, TypeVar

from doit.errors import SpecError, did_you_mean
from doit.trainers import spec
from doit.trainers.adapters import (
    Base,
    adapted,
    adapter_state,
    embeddings_of,
    on_meta,
    smaller_sides,
    write_adapter,
)
from doit.trainers.method_base import MODEL, AdapterTuning, Tuning, refusal
from doit.trainers.models import need_libraries, quiet

_REFUSED = {
    "auto_mapping",
    "base_model_name_or_path",
    "inference_mode",
    "prompt_tuning_init_state_dict_path",
    "revision",
    "task_type",
    "tokenizer_kwargs",
    "tokenizer_name_or_path",
}
"""Keys of PEFT's configurations that are ours to set, or that read other files."""


class FullTuning(Tuning[spec.Full]):
    """Every weight."""

    folder = MODEL
    merges = False

    def apply(self, model: Any) -> Any:
        """Nothing is wrapped."""
        for parameter in model.parameters():
            parameter.requires_grad_(True)
        return model

    def save(self, model: Any, folder: Path, base: Base) -> None:
        """The whole model."""
        model.save_pretrained(folder)


class EmbeddingsTuning(FullTuning):
    """The embeddings of words, at the input and at the output, where they are not the same."""

    def apply(self, model: Any) -> Any:
        """Everything else is frozen."""
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            if layer is not None:
                layer.weight.requires_grad_(True)
        return model


class LoraTuning(AdapterTuning[spec.Lora]):
    """LoRA; scaled by the root of its rank, with weights' lengths apart, or begun from singular values."""

    def notes(self, model: Any) -> list[str]:
        """Where the rank is more than a layer can use; PiSSA has no more singular values to start from."""
        return _rank_notes(self.method.rank, "rank", self.method.targets, model, strict=self.method.pissa)

    def config(self, model: Any) -> Any:
        """PEFT's `LoraConfig`."""
        peft: Any = importlib.import_module("peft")
        method = self.method
        if method.pissa and method.dora:
            what = "`pissa` and `dora` both change what LoRA starts from."
            raise SpecError("D207", what, where="method", hint="Leave one of them out.")
        real = not on_meta(model)
        return peft.LoraConfig(
            task_type="CAUSAL_LM",
            r=method.rank,
            lora_alpha=method.alpha,
            lora_dropout=method.dropout,
            target_modules=_targets(method.targets),
            use_rslora=method.rslora,
            use_dora=method.dora,
            init_lora_weights="pissa" if method.pissa and real else True,
            trainable_token_indices=embeddings_of(model, self.added),
        )

    def apply(self, model: Any) -> Any:
        """Keep what PiSSA started from: its adapter is saved as the difference to it."""
        self.notes(model)
        wrapped = super().apply(model)
        self._start = adapter_state(wrapped) if self.method.pissa and not on_meta(model) else None
        return wrapped

    def state(self, model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """What PiSSA started from, to know on resume that it starts from the same."""
        return {f"start.{name}": tensor for name, tensor in (self._start or {}).items()}, {}

    def restore(self, model: Any, tensors: dict[str, Any], data: dict[str, Any]) -> None:
        """Refuse a start that differs, since the rest of the base's weights would differ with it."""
        import torch

        for name, tensor in (self._start or {}).items():
            if not torch.equal(tensor.cpu(), tensors[f"start.{name}"].cpu()):
                what = "PiSSA starts from other singular values here than where the checkpoint was made."
                hint = "Resume with the same libraries and threads, or train anew."
                raise SpecError("D605", what, where=name, hint=hint)

    def save(self, model: Any, folder: Path, base: Base) -> None:
        """PiSSA changes the base's weights; what is written is a LoRA of twice the rank over the unchanged ones."""
        if self._start is None:
            super().save(model, folder, base)
            return
        import torch

        state = adapter_state(model)
        for name, start in self._start.items():
            now = state[name]
            if "lora_A" in name:
                state[name] = torch.cat([now, start], dim=0)
            elif "lora_B" in name:
                state[name] = torch.cat([now, -start], dim=1)
        config = copy.deepcopy(model.peft_config["default"])
        config.init_lora_weights = True
        config.lora_alpha *= math.sqrt(2) if config.use_rslora else 2
        config.r *= 2
        write_adapter(state, config, folder, base)


class QLoraTuning(LoraTuning):
    """LoRA over weights of 4 or 8 bits, by bitsandbytes."""

    def apply(self, model: Any) -> Any:
        """Norms in full precision, as PEFT prepares it."""
        peft: Any = importlib.import_module("peft")
        if not on_meta(model):
            model = peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
        return super().apply(model)

    def quantised(self, compute: Any) -> Any:
        """How the weights are loaded, a `BitsAndBytesConfig`.

        Args:
            compute: the dtype that products are computed in.

        Raises:
            MissingExtra: D208 bitsandbytes is not installed.
        """
        need_libraries("bitsandbytes")
        library: Any = importlib.import_module("transformers")
        method = self.method
        if not isinstance(method, spec.QLora) or method.bits == 8:
            return library.BitsAndBytesConfig(load_in_8bit=True)
        return library.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=method.double_quantisation,
            bnb_4bit_compute_dtype=compute,
        )


class AdaLoraTuning(AdapterTuning[spec.AdaLora]):
    """LoRA whose ranks fall while training, kept where gradients say that they matter."""

    def notes(self, model: Any) -> list[str]:
        """Where the rank at the start is more than a layer can use."""
        return _rank_notes(self.method.init_rank, "init_rank", self.method.targets, model)

    def config(self, model: Any) -> Any:
        """PEFT's `AdaLoraConfig`, with the training's steps filled in."""
        peft: Any = importlib.import_module("peft")
        method = self.method
        left = self.steps - method.start - method.end
        if self.steps and (left < 1 or self.steps - method.end < 2):
            what = f"start {method.start} and end {method.end} leave none of the training's {self.steps} steps."
            if left >= 1:
                what = f"ranks can fall from the second step on, and of {self.steps} the last {method.end} are `end`."
            hint = f"Such as `--set method.start={self.steps // 5} --set method.end={self.steps // 5}`."
            raise SpecError("D207", what, where="method", hint=hint)
        return peft.AdaLoraConfig(
            task_type="CAUSAL_LM",
            init_r=method.init_rank,
            target_r=method.rank,
            lora_alpha=method.alpha,
            lora_dropout=method.dropout,
            target_modules=_targets(method.targets),
            beta1=method.beta[0],
            beta2=method.beta[1],
            tinit=method.start,
            tfinal=method.end,
            deltaT=method.every,
            total_step=self.steps or method.start + method.end + 1,
        )

    def apply(self, model: Any) -> Any:
        """The numbers that hold a layer's rank are no weights: gradients must not move them."""
        self.notes(model)
        wrapped = super().apply(model)
        for name, parameter in wrapped.named_parameters():
            if "ranknum" in name:
                parameter.requires_grad_(False)
        return wrapped

    def penalty(self, model: Any) -> Any:
        """Mean distance of the A and B from orthogonal matrices, with the paper's weight (arXiv 2303.10512, eq. 4)."""
        import torch

        distances = []
        for name, parameter in model.named_parameters():
            if "lora_A" in name or "lora_B" in name:
                square = parameter @ parameter.T if "lora_A" in name else parameter.T @ parameter
                distances.append(torch.linalg.matrix_norm(square - torch.eye(len(square), device=square.device)))
        return model.peft_config["default"].orth_reg_weight * torch.stack(distances).mean()

    def after_step(self, model: Any, step: int) -> None:
        """Note what matters, and lower ranks when it is time."""
        allocator = model.base_model.rankallocator
        budget, falls = allocator.budget_schedule(step)
        at_end = step == self.steps - self.method.end
        if (falls or at_end) and budget >= allocator.init_bgt and step <= self.steps - self.method.end:
            allocator.update_ipt(model.base_model.model)  # nothing is to fall yet, and PEFT would look for the 0th
            return
        if step > self.steps - self.method.end and not model.peft_config["default"].rank_pattern:
            return
        model.base_model.update_and_allocate(step)

    def state(self, model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Importances, and which ranks are left."""
        allocator = model.base_model.rankallocator
        tensors = {
            f"{part}.{name}": tensor
            for part in ("ipt", "exp_avg_ipt", "exp_avg_unc")
            for name, tensor in getattr(allocator, part).items()
        }
        return tensors, {"rank_pattern": model.peft_config["default"].rank_pattern}

    def restore(self, model: Any, tensors: dict[str, Any], data: dict[str, Any]) -> None:
        """Put both back."""
        allocator = model.base_model.rankallocator
        allocator.reset_ipt()
        device = next(model.parameters()).device
        for key, tensor in tensors.items():
            part, _, name = key.partition(".")
            getattr(allocator, part)[name] = tensor.to(device)
        model.peft_config["default"].rank_pattern = data["rank_pattern"]

    def save(self, model: Any, folder: Path, base: Base) -> None:
        """All ranks, the fallen ones zero: cut down to those that are left, the adapter would compute something else.

        PEFT divides by a layer's rank, and while training that is the rank at the start.
        """
        config = model.peft_config["default"]
        pattern, config.rank_pattern = config.rank_pattern, None
        try:
            super().save(model, folder, base)
        finally:
            config.rank_pattern = pattern


class Ia3Tuning(AdapterTuning[spec.Ia3]):
    """One factor for each channel."""

    def config(self, model: Any) -> Any:
        """PEFT's `IA3Config`."""
        peft: Any = importlib.import_module("peft")
        wanted = list(self.method.targets)
        return peft.IA3Config(
            task_type="CAUSAL_LM", target_modules=wanted, feedforward_modules=list(self.method.feedforward)
        )


V = TypeVar("V", spec.Prefix, spec.Prompt, spec.PTuning)


class VirtualTokens(AdapterTuning[V]):
    """Virtual tokens are all that is trained."""

    merges = False

    @property
    def prompted(self) -> bool:
        """They stand before the sequence."""
        return True

    @property
    def virtual(self) -> int:
        """As many as the spec says."""
        return self.method.tokens


class PrefixTuning(VirtualTokens[spec.Prefix]):
    """Keys and values before every layer."""

    def config(self, model: Any) -> Any:
        """PEFT's `PrefixTuningConfig`."""
        peft: Any = importlib.import_module("peft")
        method = self.method
        hidden = {"encoder_hidden_size": method.hidden} if method.projection else {}
        return peft.PrefixTuningConfig(
            task_type="CAUSAL_LM", num_virtual_tokens=method.tokens, prefix_projection=method.projection, **hidden
        )


class PromptTuning(VirtualTokens[spec.Prompt]):
    """Embeddings before the first token."""

    def config(self, model: Any) -> Any:
        """PEFT's `PromptTuningConfig`."""
        peft: Any = importlib.import_module("peft")
        return peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=self.method.tokens)


class PTuning(VirtualTokens[spec.PTuning]):
    """Embeddings before the first token, made by a small network."""

    def config(self, model: Any) -> Any:
        """PEFT's `PromptEncoderConfig`."""
        peft: Any = importlib.import_module("peft")
        return peft.PromptEncoderConfig(
            task_type="CAUSAL_LM",
            num_virtual_tokens=self.method.tokens,
            encoder_hidden_size=self.method.hidden,
            encoder_reparameterization_type="MLP",
        )


class PeftTuning(AdapterTuning[spec.Peft]):
    """Any other method of PEFT: its configuration is handed over as it is written."""

    @property
    def prompted(self) -> bool:
        """As PEFT says."""
        with quiet():
            return bool(self.config(None).is_prompt_learning)

    @property
    def virtual(self) -> int:
        """As its configuration says."""
        with quiet():
            return int(getattr(self.config(None), "num_virtual_tokens", None) or 0)

    def config(self, model: Any) -> Any:
        """The configuration that `peft_type` names."""
        peft: Any = importlib.import_module("peft")
        keys = dict(self.method.config)
        known = {kind.value: config for kind, config in peft.PEFT_TYPE_TO_CONFIG_MAPPING.items()}
        kind = str(keys.pop("peft_type")).upper()
        if kind in {"ADALORA", "PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING"} or kind not in known:
            hint = "It has a `kind` of its own: `doit list methods`."
            if kind not in known:
                hint = did_you_mean(kind, known) or f"One of {', '.join(sorted(known))}."
            raise SpecError("D203", f'no other method "{kind}".', where="method.config.peft_type", hint=hint)
        fields = {field.name for field in dataclasses.fields(known[kind])} - _REFUSED - {"peft_type"}
        for key in keys:
            if key not in fields:
                raise SpecError("D202", "unknown key.", where=f"method.config.{key}", hint=did_you_mean(key, fields))
        try:
            return known[kind](task_type="CAUSAL_LM", **keys)
        except (TypeError, ValueError) as error:
            raise SpecError("D204", refusal(error), where="method.config") from None


_TUNINGS: dict[type[spec.Method], type[Tuning[Any]]] = {
    spec.Full: FullTuning,
    spec.Lora: LoraTuning,
    spec.QLora: QLoraTuning,
    spec.AdaLora: AdaLoraTuning,
    spec.Ia3: Ia3Tuning,
    spec.Prefix: PrefixTuning,
    spec.Prompt: PromptTuning,
    spec.PTuning: PTuning,
    spec.Embeddings: EmbeddingsTuning,
    spec.Peft: PeftTuning,
}


def tuning(method: spec.Method, steps: int) -> Tuning[Any]:
    """The class that carries out a method.

    Args:
        method: of a trainer spec.
        steps: updates of the training; 0 where nobody knows yet.

    Raises:
        SpecError: D210 bottleneck adapters, which this version does not have.
    """
    found = _TUNINGS.get(type(method))
    if found is None:
        hint = "LoRA or AdaLoRA train as few parameters."
        raise SpecError("D210", f"`kind: {method.kind}` cannot be trained yet.", where="method", hint=hint)
    return found(method, steps)


def _rank_notes(rank: int, key: str, targets: spec.Targets, model: Any, *, strict: bool = False) -> list[str]:
    """What is to be said of a rank on a model.

    Args:
        rank: of every layer.
        key: of the spec.
        targets: the layers.
        model: before the method was applied.
        strict: whether no layer may be smaller.

    Raises:
        SpecError: D204 no layer, or with `strict` not every layer, is as large as the rank; there is no layer at all.
    """
    sides = smaller_sides(adapted(model, _targets(targets)))
    if targets == "all-linear" and not sides:
        hint = "Look at the number of its layers."
        raise SpecError("D204", "the model has no linear layer to adapt.", where="method.targets", hint=hint)
    small = {name: side for name, side in sides.items() if side < rank}
    if not small:
        return []
    names = ", ".join(f"{name} ({side:,})" for name, side in sorted(small.items()))
    if strict or len(small) == len(sides):
        most = min(sides.values()) if strict else max(sides.values())
        what = f"it is {rank:,}, more than the smaller side of {names}."
        raise SpecError("D204", what, where=f"method.{key}", hint=f"Give {most:,} at most.")
    return [f"{key} {rank:,} is more than the smaller side of {names}: there it only costs."]


def _targets(targets: spec.Targets) -> str | list[str]:
    return targets if isinstance(targets, str) else list(targets)
