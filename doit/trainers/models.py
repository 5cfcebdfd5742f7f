"""Models and tokenizers: from a folder, from the Hugging Face Hub, or new from a configuration.

Weights are read from safetensors alone, and no code of a repository is ever run.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from doit import storage, yamlio
from doit.errors import MissingExtra, SpecError, StorageError
from doit.trainers.new_model import new_config
from doit.trainers.spec import FittedTokenizer, NewModel, TrainerSpec

NEEDED = ("torch", "transformers", "peft", "safetensors", "tiktoken")
"""What the extra `train` installs and this room imports."""

END, PAD = "<|endoftext|>", "<|pad|>"
"""End and padding token of a fitted tokenizer."""

_REPOSITORY = re.compile(r"(?!.*(?:--|\.\.))[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)
_CONFIG_FILES = ["config.json"]
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tokenizer_config.json")
_TOKENIZER_FILES = ["*.json", "*.model", "*.txt", "*.jinja"]


@dataclass(frozen=True)
class ModelPlace:
    """Where a model is."""

    name: str
    """As the spec has it; `new llama` for one from a configuration."""
    folder: Path | None
    """Its files here; None for a new one."""
    commit: str | None = None
    """Of the Hub's repository."""

    def digest(self) -> str:
        """SHA-256 over names and digests of the configuration and the weights; of the commit, for a Hub's model."""
        if self.folder is None or self.commit is not None:
            return hashlib.sha256(f"{self.name} {self.commit}".encode()).hexdigest()
        files = sorted([self.folder / "config.json", *self.folder.glob("*.safetensors")])
        told = [f"{path.name} {storage.file_digest(path)}" for path in files]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()


def need_libraries(*names: str) -> None:
    """Look whether the libraries of training are installed.

    Raises:
        MissingExtra: D208.
    """
    for name in names or NEEDED:
        if importlib.util.find_spec(name) is None:
            hint = "Install it with: pip install 'doit-mix[train]'"
            if name == "bitsandbytes":
                hint = "Install it with: pip install bitsandbytes"
            raise MissingExtra("D208", f"training needs `{name}`.", where="doit train", hint=hint)
    if not names:
        logging: Any = importlib.import_module("transformers.utils.logging")
        logging.set_verbosity_error()
        logging.disable_progress_bar()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hold back what the libraries say to each other: names that one of them will drop, which only the other uses."""
    with warnings.catch_warnings():
        for said in (
            ".*gradient_checkpointing.* is deprecated",
            "Position ids are not supported",
            "fan_in_fan_out is set",
            "Unsupported layer type",
            "No value was provided for",
        ):
            warnings.filterwarnings("ignore", said)
        yield


def find_model(
    name: str | NewModel, revision: str | None, beside: Path, *, files: Literal["config", "tokenizer", "all"] = "all"
) -> ModelPlace:
    """Find a model, and fetch it where it is on the Hub.

    Args:
        name: a folder, relative to `beside`; or a Hub id; or a configuration.
        revision: commit, branch or tag on the Hub.
        beside: where relative folders start from.
        files: what is needed of it.

    Raises:
        SpecError: D204, D206 or D211.
    """
    if isinstance(name, NewModel):
        return ModelPlace(f"new {name.config['model_type']}", None)
    folder = beside / name
    if folder.is_dir():
        if files == "all" and not any(folder.glob("*.safetensors")):
            what = "there are no weights in safetensors."
            hint = "Convert them: other formats can run code when they are read."
            raise SpecError("D206", what, where=str(folder), hint=hint)
        return ModelPlace(name, folder)
    if not _REPOSITORY.fullmatch(name):
        what = f'"{name}" is no folder, and no id of the Hub.'
        raise SpecError("D206", what, hint="Give a folder that is there, or an id `owner/name`.")
    return _fetched(name, revision, files)


def _fetched(name: str, revision: str | None, files: str) -> ModelPlace:
    need_libraries("huggingface_hub")
    import huggingface_hub as hub

    everything = [*_TOKENIZER_FILES, "*.safetensors", "README.md"]
    wanted = {"config": _CONFIG_FILES, "tokenizer": _TOKENIZER_FILES}.get(files, everything)
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in hub.constants.ENV_VARS_TRUE_VALUES
    try:
        found = hub.snapshot_download(
            name,
            revision=revision,
            allow_patterns=wanted,
            ignore_patterns=["*/*"],
            # read now, not at import: a program may set it after it has imported huggingface_hub
            endpoint=os.environ.get("HF_ENDPOINT") or None,
            local_files_only=offline or hub.constants.HF_HUB_OFFLINE,
        )
        path = Path(found)
    except Exception as error:  # noqa: BLE001  libraries raise all kinds
        raise _hub_error(error, name, revision) from None
    if files == "all" and not any(path.glob("*.safetensors")):
        hint = "Choose a model whose weights are in safetensors: other formats can run code when they are read."
        raise SpecError("D206", "its repository has no weights in safetensors.", where=name, hint=hint)
    return ModelPlace(name, path, path.name)


def _hub_error(error: Exception, name: str, revision: str | None) -> SpecError | StorageError:
    """What huggingface_hub raised, in our words; the server's words and addresses stay out."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        hint = "Accept them on its page and log in with `hf auth login`."
        return SpecError("D211", "its owner wants you to accept terms first.", where=name, hint=hint)
    if isinstance(error, errors.RevisionNotFoundError):
        return SpecError("D206", f'no revision "{revision}".', where=name)
    if isinstance(error, errors.RepositoryNotFoundError | errors.EntryNotFoundError) and not isinstance(
        error, errors.LocalEntryNotFoundError
    ):
        hint = "Look at the name; for a private one log in with `hf auth login`. A folder must exist."
        return SpecError("D206", "no such model, or it is not shown to you.", where=name, hint=hint)
    if isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError | TimeoutError):
        return StorageError("D104", f"{error.strerror}.", where=str(error.filename or name))
    hint = "Try again, look at HF_ENDPOINT and HF_HUB_OFFLINE, or name a folder that has the model."
    return SpecError("D211", f"the Hub cannot be reached or broke off ({type(error).__name__}).", where=name, hint=hint)


def stated_license(place: ModelPlace) -> str:
    """The licence that the front matter of a model's README.md states, as the Hub writes it there; else `unknown`."""
    path = (place.folder or Path()) / "README.md"
    if place.folder is None or not path.is_file():
        return "unknown"
    try:
        begin, _, rest = path.read_text(encoding="utf-8").partition("---\n")
        front, end, _ = rest.partition("\n---")
        stated = yamlio.loads(front, str(path)) if end and not begin.strip() else {}
    except (OSError, ValueError, SpecError):
        return "unknown"
    found = stated.get("license") if isinstance(stated, dict) else None
    if found == "other":
        found = stated.get("license_name")
    return found.strip() if isinstance(found, str) and found.strip() else "unknown"


def load_config(place: ModelPlace, model: str | NewModel) -> Any:
    """The configuration of a model.

    Raises:
        SpecError: D204 it cannot be read, or needs code of its repository; D202, D203 a new one's keys.
    """
    library: Any = importlib.import_module("transformers")
    try:
        if isinstance(model, NewModel):
            return new_config(model)
        return library.AutoConfig.from_pretrained(place.folder, local_files_only=True, trust_remote_code=False)
    except SpecError:
        raise
    except Exception as error:  # noqa: BLE001  libraries raise all kinds
        if "trust_remote_code" in str(error):
            hint = "Choose an architecture that transformers has itself."
            raise SpecError("D204", "this model runs code of its repository.", where=place.name, hint=hint) from None
        raise SpecError("D204", f"its configuration cannot be used: {_first(error)}", where=place.name) from None


def meta_model(config: Any) -> Any:
    """A model without weights: it takes no memory, and its parameters can be counted.

    Raises:
        SpecError: D204 the configuration makes no causal language model.
    """
    import torch

    with torch.device("meta"):
        model = _from_config(config, torch.float32)
    model.tie_weights()  # older versions of transformers do not, without weights
    return model


def load_model(
    place: ModelPlace, config: Any, *, seed: int, dtype: Any, attention: str | None = None, quantised: Any = None
) -> Any:
    """A causal language model on the CPU, in evaluation mode; quantised ones are where the library puts them.

    Args:
        place: where it is; without a folder its weights are drawn.
        config: its configuration.
        seed: of the drawn weights.
        dtype: of all weights.
        attention: `sdpa`, `eager` or `flash_attention_2`; None = what the library takes for the architecture.
        quantised: a `BitsAndBytesConfig`, or None.

    Raises:
        SpecError: D204 the weights cannot be used.
    """
    import torch

    library: Any = importlib.import_module("transformers")
    if place.folder is None:
        torch.manual_seed(seed)
        return _from_config(config, dtype, attention).eval()
    more = (
        {}
        if quantised is None
        else {"quantization_config": quantised, "device_map": {"": 0 if torch.cuda.is_available() else "cpu"}}
    )
    try:
        model, told = library.AutoModelForCausalLM.from_pretrained(
            place.folder,
            config=config,
            dtype=dtype,
            attn_implementation=attention,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            **more,
        )
    except Exception as error:  # noqa: BLE001  libraries raise all kinds
        why = "they are not of the shapes that its configuration says."
        why = why if "ignore_mismatched_sizes" in str(error) else _first(error)
        raise SpecError("D204", f"its weights cannot be used: {why}", where=place.name) from None
    if told["missing_keys"]:
        missing = sorted(told["missing_keys"])
        what = f"its files lack {len(missing)} weights of the architecture, such as {missing[0]}."
        raise SpecError("D204", what, where=place.name, hint="Look whether all of its files are there.")
    return model.eval()


def _from_config(config: Any, dtype: Any, attention: str | None = None) -> Any:
    library: Any = importlib.import_module("transformers")
    try:
        return library.AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=attention)
    except Exception as error:  # noqa: BLE001  libraries raise all kinds
        what = f"its configuration makes no causal language model: {_first(error)}"
        raise SpecError("D204", what, where=str(config.model_type)) from None


def load_tokenizer(spec: TrainerSpec, model: ModelPlace, beside: Path, texts: Iterable[str]) -> Any:
    """The tokenizer that the spec names, the model's own, or one that is fitted.

    Args:
        spec: names it.
        model: the model, whose own it is where the spec is silent.
        beside: where relative folders start from.
        texts: what one is fitted on; not read otherwise.

    Raises:
        SpecError: D206 there is none; D601 it is not a fast one.
    """
    if isinstance(spec.tokenizer, FittedTokenizer):
        return fitted_tokenizer(texts, spec.tokenizer.fit)
    name = spec.tokenizer or spec.model
    if spec.tokenizer is None:
        folder = model.folder
    else:
        folder = find_model(spec.tokenizer, None, beside, files="tokenizer").folder
    return read_tokenizer(folder, str(name))


def read_tokenizer(folder: Path | None, name: str) -> Any:
    """A fast tokenizer from a folder.

    Raises:
        SpecError: D206 there is none; D601 it is not a fast one.
    """
    library: Any = importlib.import_module("transformers")
    try:
        reader = library.PreTrainedTokenizerFast if _generic(folder) else library.AutoTokenizer
        tokenizer = reader.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        fast = tokenizer.is_fast
    except Exception as error:  # noqa: BLE001  libraries raise all kinds
        hint = "Name a folder or an id that has one: `tokenizer:`."
        if folder is not None and not any((folder / file).is_file() for file in _TOKENIZERS):
            what = "there is no tokenizer."
        else:
            what = f"its tokenizer cannot be read: {_first(error)}"
        raise SpecError("D206", what, where=name, hint=hint) from None
    if not fast:
        raise SpecError("D601", "it is not a fast tokenizer.", where=name, hint="Name another: `tokenizer:`.")
    return tokenizer


def _generic(folder: Path | None) -> bool:
    """Whether a folder says that its tokenizer.json is all there is to its tokenizer.

    AutoTokenizer would take the class of the folder's model all the same, and that class writes rules of its own over
    those of the file.
    """
    path = (folder or Path()) / "tokenizer_config.json"
    named = orjson.loads(path.read_bytes()).get("tokenizer_class") if path.is_file() else None
    return named in {"TokenizersBackend", "PreTrainedTokenizerFast"}


def pad_id(tokenizer: Any) -> int:
    """Token that fills up rows: the tokenizer's own, else its end token, else any; it is never learned."""
    found = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
    return int(next(number for number in found if number is not None))


def fitted_tokenizer(texts: Iterable[str], size: int) -> Any:
    """A byte-level BPE tokenizer fitted on texts: the same texts in the same order give the same tokenizer.

    Args:
        texts: such as a mixture's contents.
        size: of the vocabulary, 256 bytes and two control tokens included.
    """
    library: Any = importlib.import_module("tokenizers")
    pre_tokenizers, transformers = library.pre_tokenizers, importlib.import_module("transformers")
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = library.trainers.BpeTrainer(
        vocab_size=size, special_tokens=[END, PAD], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    fast: Any = transformers.PreTrainedTokenizerFast
    return fast(tokenizer_object=tokenizer, eos_token=END, pad_token=PAD)


def resize(model: Any, tokenizer: Any, added: int) -> None:
    """Give the control tokens that a template added an embedding: the mean of all others, so that no chance enters.

    Models whose matrix has room for them already are left as they are.

    Args:
        model: a causal language model.
        tokenizer: with the added tokens.
        added: how many.
    """
    import torch

    matrix = model.get_input_embeddings().weight
    if not added or len(tokenizer) <= matrix.shape[0]:
        return
    old = matrix.shape[0]
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        if layer is not None:
            with torch.no_grad():
                layer.weight[old:] = layer.weight[:old].mean(dim=0)


def stop_at(model: Any, ends: Iterable[int]) -> None:
    """Write into a model's `generation_config.json` to be that it ends at these tokens, beside those it ended at.

    Without this the saved model would write on behind a template's end token, wherever it is not used by `doit chat`.

    Args:
        model: a causal language model.
        ends: token ids.
    """
    config = model.generation_config
    if config is None:
        return
    known = config.eos_token_id
    kept = [] if known is None else [known] if isinstance(known, int) else list(known)
    found = sorted({*ends, *(one for one in kept if one < model.get_input_embeddings().weight.shape[0])})
    config.eos_token_id = found[0] if len(found) == 1 else found


def positions(config: Any) -> int | None:
    """The longest sequence that a model was made for; None where its configuration does not say."""
    text = config.get_text_config()
    found = getattr(text, "max_position_embeddings", None) or getattr(text, "max_seq_len", None)
    return found if isinstance(found, int) and found > 0 else None


def _first(error: Exception) -> str:
    """The first line of a library's error, short; the second too where the first only leads to it."""
    if isinstance(error, KeyError):
        return f"{error} is missing."
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    line = " ".join(lines[: 2 if lines[0].endswith(":") else 1])[:200]
    return line if line.endswith(".") else f"{line}."
