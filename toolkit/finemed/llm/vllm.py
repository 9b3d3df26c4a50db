"""A model that vLLM runs in this process: the stages' requests go to ``vllm.LLM.chat`` in batches.

::

    backend = VllmChat(VllmBackend(type="vllm", model="models/meditron", lora="adapters/style"), Path("."))
    backend.name  ->  "vllm:meditron+style"

A batch is handed on when all of it is finished, so a kill loses the replies of one batch at most. Replies keep to their
schema because the engine samples under it (`StructuredOutputsParams`); nothing has to be probed. Requests have no seed
of their own: with one, engines batch badly, and the journal keeps what was drawn anyway. One engine is open at a time
in a process, since each takes most of the GPU: a stage with another model closes the one before it.
"""

from __future__ import annotations

import gc
import hashlib
import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from jinja2 import TemplateError

from finemed.config import VllmBackend, identity, stable_hash
from finemed.errors import BackendError, MissingExtraError
from finemed.llm.base import Completion, Finish, Request, silent
from finemed.llm.probe import portable_schema_of
from finemed.models import profile_for

ENVIRONMENT = {
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # stdout is data
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",  # nothing leaves this machine
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # an engine in a process of its own outlives a kill of this one
}
"""Set where the user has not set them."""

MODEL_FILES = (".safetensors", ".bin", ".gguf", ".json", ".model", ".txt", ".jinja")
SAMPLED_ABOVE = 4 << 20
PIECES, PIECE = 17, 64 << 10
_FINISH: dict[str, Finish] = {"stop": "stop", "length": "length"}


class VllmChat:
    """Backend over `vllm.LLM`; local, and no reply is made twice, since generating costs hours."""

    local = True
    free = False
    extractive = False
    _open: ClassVar[VllmChat | None] = None

    def __init__(self, settings: VllmBackend, base: Path = Path()) -> None:
        self._settings = settings
        self._model, model_name, model_facts = _found(settings.model, base)
        self._lora, lora_name, lora_facts = _found(settings.lora, base) if settings.lora else ("", "", {})
        self.name = f"vllm:{model_name}" + (f"+{lora_name}" if lora_name else "")
        self.profile = profile_for(settings.model_family)
        self.say: Callable[[str], None] = silent
        self.read_ahead = max(256, 16 * settings.batch_size)
        """Stored replies taken up before any is handed on: enough to fill batches from what is not stored."""
        self._identity = identity(settings) | {"model": model_name, "lora": lora_name or None}
        self._identity |= {f"model_{key}": value for key, value in model_facts.items()}
        self._identity |= {f"lora_{key}": value for key, value in lora_facts.items()}
        self._engine: Any = None

    def identity(self) -> dict[str, Any]:
        return self._identity

    def ready(self) -> None:
        if importlib.util.find_spec("vllm") is None:
            raise MissingExtraError("the vLLM backend", "vllm")
        for setting, found in (("model", self._model), ("lora", self._lora)):
            if _is_path(found) and not Path(found).exists():
                raise BackendError(f"{self.name}: `{setting}` {found} does not exist; check the path under `backends`")

    def probe(self) -> Request | None:
        return None

    def probed(self, completion: Completion) -> None:
        """There is no probe."""

    # --- calls -------------------------------------------------------------------------------------------------------

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        waiting = iter(requests)
        while batch := list(islice(waiting, self._settings.batch_size)):
            yield from self._answers(batch)

    def _answers(self, batch: list[Request]) -> Iterator[Completion]:
        """The replies of a batch; where vLLM refuses one of its requests, the batch is halved until that is alone."""
        refusal = ""
        engine = self._engine or self._start()
        messages = [request.messages() for request in batch]
        sampling = [self._sampling(request) for request in batch]
        try:
            outputs = self._chat(engine, messages, sampling)
        except Exception as error:
            fact = f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
            if not _is_about_a_request(error):
                raise BackendError(
                    f"{self.name}: the engine stopped ({fact}); stored replies are kept: lower `batch_size`, "
                    "`max_model_len` or `gpu_memory_utilization`, then run the same command again"
                ) from error
            refusal = fact
        if not refusal:
            for request, output in zip(batch, outputs, strict=True):
                yield _completion(request, output)
        elif len(batch) == 1:
            yield Completion(batch[0], "", "error", detail=refusal)
        else:
            middle = len(batch) // 2
            yield from self._answers(batch[:middle])
            yield from self._answers(batch[middle:])

    def _chat(self, engine: Any, messages: list[Any], sampling: list[Any]) -> list[Any]:
        from vllm.lora.request import LoRARequest

        adapter = LoRARequest("adapter", 1, self._lora) if self._lora else None
        return list(
            engine.chat(
                messages,
                sampling,
                lora_request=adapter,
                chat_template_kwargs=self._settings.chat_template_kwargs or None,
                use_tqdm=False,
            )
        )

    def _sampling(self, request: Request) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        reply = request.reply if self._settings.structured == "on" else None
        drawn = request.sampling
        return SamplingParams(
            temperature=drawn.temperature,
            top_p=drawn.top_p,
            max_tokens=drawn.max_tokens,
            structured_outputs=None if reply is None else StructuredOutputsParams(json=portable_schema_of(reply)),
        )

    # --- the engine --------------------------------------------------------------------------------------------------

    def _start(self) -> Any:
        """Loads the model at the first call, so that plans and previews load none."""
        self.ready()
        if VllmChat._open is not None:
            VllmChat._open.close()
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self.say(f"{self.name}: loading")
        arguments = self._arguments()
        try:
            from vllm import LLM

            self._engine = LLM(**arguments)
        except Exception as error:
            fact = f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
            raise BackendError(
                f"{self.name}: cannot be loaded ({fact}); check its settings under `backends`"
            ) from error
        VllmChat._open = self
        return self._engine

    def _arguments(self) -> dict[str, Any]:
        settings = self._settings
        arguments: dict[str, Any] = {
            "model": self._model,
            "revision": settings.revision,
            "dtype": settings.dtype,
            "quantization": settings.quantization,
            "max_model_len": settings.max_model_len,
            "tensor_parallel_size": settings.tensor_parallel_size,
            "gpu_memory_utilization": settings.gpu_memory_utilization,
            "enable_prefix_caching": settings.prefix_caching,
        }
        if self._lora:
            arguments |= {"enable_lora": True, "max_lora_rank": settings.max_lora_rank}
        return {key: value for key, value in arguments.items() if value is not None} | settings.engine

    def close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is None:
            return
        VllmChat._open = None
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        engine.llm_engine.engine_core.shutdown()
        del engine
        gc.collect()  # vLLM frees the GPU's memory with its last reference
        cleanup_dist_env_and_memory()


def _completion(request: Request, output: Any) -> Completion:
    reply = output.outputs[0]
    usage = {"prompt_tokens": len(output.prompt_token_ids or ()), "completion_tokens": len(reply.token_ids)}
    finish = _FINISH.get(reply.finish_reason)
    if finish is None:
        return Completion(request, reply.text, "error", "", usage, f"vLLM ended the reply with `{reply.finish_reason}`")
    return Completion(request, reply.text, finish, "", usage)


def _is_about_a_request(error: Exception) -> bool:
    """Whether vLLM refuses a request (too long, a schema or a template that it cannot take) rather than broke down."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, ValueError | TemplateError) or "VLLMClientError" in kinds


# --- models in folders -----------------------------------------------------------------------------------------------


def _is_path(name: str) -> bool:
    return name.startswith(("/", "./", "../", "~"))


def _found(given: str, base: Path) -> tuple[str, str, dict[str, str]]:
    """What vLLM is given, the name for rows, and facts for the identity: no path of this machine is in the last two.

    A folder or file that exists is meant as such; anything else is a name on the Hub.
    """
    path = base / Path(given).expanduser()
    if path.exists():
        path = path.resolve()
        return str(path), path.name, {"hash": model_hash(path)}
    if _is_path(given):
        return str(path), path.name, {"hash": stable_hash(given)}
    return given, given, {}


def model_hash(path: Path) -> str:
    """Hash of a model's files: names, sizes and contents, of large files 17 pieces spread over each.

    Weights that were trained any further differ in every piece; reading all of them would take minutes.
    """
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.suffix in MODEL_FILES)
    facts = []
    for file in files:
        size = file.stat().st_size
        digest = hashlib.sha256()
        with file.open("rb") as opened:
            if size <= SAMPLED_ABOVE:
                digest.update(opened.read())
            else:
                for piece in range(PIECES):
                    opened.seek((size - PIECE) * piece // (PIECES - 1))
                    digest.update(opened.read(PIECE))
        facts.append([file.name, size, digest.hexdigest()])
    return stable_hash(facts)
