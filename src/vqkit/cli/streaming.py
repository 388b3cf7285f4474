"""``--stream`` of encode, compress and decompress: sound from standard input to standard output, chunk by chunk."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, final

import typer

from vqkit.checking import counted
from vqkit.errors import ConfigError, DataError

if TYPE_CHECKING:
    from vqkit.codec import RateReport
    from vqkit.codec.compressor import Compressor
    from vqkit.models import IndexModel, Model
    from vqkit.signals.pcm import Samples

STANDARD = "-"
_EVERY = 1.0

StreamOption = Annotated[
    bool,
    typer.Option("--stream", help="Sound, chunk by chunk as it comes, from standard input (-) to standard output."),
]
RawOption = Annotated[
    str | None,
    typer.Option(
        metavar="FORMAT@RATE",
        help="Of a stream: raw samples, such as s16le@16000 or f32le@48kx2 (two channels), not a WAV.",
    ),
]
WrittenRawOption = Annotated[
    str | None, typer.Option(metavar="s16le|f32le", help="Of a stream: write raw samples, not a WAV.")
]
EveryOption = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        metavar="SECONDS",
        help="Of a stream: write once so many seconds of frames are complete (default: 1; 0: each frame by itself). "
        "Less waits less, more costs fewer bytes.",
    ),
]


def check_use(
    stream: bool, given: Sequence[str], others: Mapping[str, object], only: Mapping[str, object], out: Path | None
) -> Path | None:
    """Return where to write; None: to standard output, as a stream.

    Args:
        stream: whether ``--stream`` was given.
        given: what was named as input.
        others: options that a stream does not have, with their values; None and False: not given.
        only: options that only a stream has.
        out: ``--out``, which all but a stream need.

    Raises:
        ConfigError: options that do not go together.
    """
    foreign = [name for name, value in (others if stream else only).items() if value not in (None, False)]
    if foreign:
        what = "not of a stream; leave it out" if stream else "of a stream; give --stream too, or leave it out"
        raise ConfigError(f"{', '.join(foreign)}: {what}")
    if stream and out is not None:
        raise ConfigError(f"--out {out}: --stream writes to standard output; leave --out away, and redirect: > {out}")
    if not stream and STANDARD in given:
        raise ConfigError("- is standard input, which is read with --stream only: give it too, or name a file")
    if not stream and out is None:
        raise ConfigError("--out is missing: say where to write, or stream sound to standard output with --stream")
    return out


def check_piped(given: Sequence[str]) -> None:
    """Raise ``ConfigError`` where a stream of samples is to come from elsewhere than standard input."""
    if list(given) != [STANDARD]:
        raise ConfigError(
            f"{' '.join(given)}: a stream of sound comes from standard input, in place of which - stands: "
            "ffmpeg -i IN -f wav - | vqkit ... - --stream"
        )


def encode_stream(model: IndexModel, raw: str | None, codebooks: int | None, kbps: float | None) -> None:
    """Write the indices of each frame as a line of text, as soon as they are known."""
    source, out = StreamedSound(model, raw), _output(binary=False)
    stream, frames = model.stream(codebooks=codebooks, kbps=kbps), 0
    _say_latency(model, f"{_time(model, stream.encoding_latency)} from the first sample of a frame to its indices")
    for piece in chain(source, [None]):
        if source.came:
            found = stream.encode(None if piece is None else piece[None], last=piece is None)[0]
            rows = (found[:, None] if found.ndim == 1 else found).tolist()
            out.write("".join(" ".join(map(str, row)) + "\n" for row in rows).encode())
            out.flush()
            frames += len(rows)
    source.end(counted(frames, "frame"))


def compress_stream(compressor: Compressor, source: StreamedSound, every: float | None) -> RateReport:
    """Write a ``.vqk`` file of one sound while it comes; returns its sizes."""
    from vqkit.codec import StreamCompressor
    from vqkit.coding import per_axis

    model = compressor.model
    out = _output(binary=True)
    rate, step = model.kind.rate, per_axis(model.downsampling, 1)[0]
    if every is not None and rate is None:
        raise ConfigError(f"--every {every:g}: the sample rate of the model is not known, so seconds mean nothing")
    frames = None if rate is None else max(1, round((_EVERY if every is None else every) * rate / step))
    stream = StreamCompressor(compressor, out, frames=frames)
    group = f"from the first sample of {counted(stream.frames, 'frame')} to their bytes (--every)"
    _say_latency(model, f"{_time(model, stream.latency)} {group}")
    for piece in source:
        stream.write(piece)
    if source.came:
        stream.finish()
    report = stream.report
    kbps = "" if rate is None else f", {8 * report.file_bytes * rate / max(1, report.pixels) / 1000:.3f} kbps"
    source.end(f"{counted(report.file_bytes, 'byte')}{kbps}")
    return report


def decompress_stream(
    file: Path, model: str, device: str, prior: str | None, raw: str | None, most: int, **settings: Any
) -> None:
    """Write the sound of a ``.vqk`` file as it is read; ``settings`` are those of ``Decompressor``."""
    from vqkit.cli.files import file_prior
    from vqkit.cli.loading import open_vqvae
    from vqkit.codec import Decompressor, entropy_model
    from vqkit.coding import Reader
    from vqkit.signals.pcm import PcmFormat
    from vqkit.signals.wav import sixteen_bits, wav_header

    written = PcmFormat.written(raw)
    loaded = open_vqvae(model, device)
    out, rate, came = _output(binary=True), loaded.kind.rate, 0
    if written is None and rate is None:
        raise ConfigError(f"{model}: its sounds have no sample rate, which a WAV has to say; give --raw s16le")
    with _input() if str(file) == STANDARD else file.open("rb") as opened:
        reader = Reader(opened, max_values=most)
        if reader.header.axes != 1:
            raise ConfigError(
                f"{file} holds signals of {reader.header.axes} axes, and a stream is of sound: name --out"
            )
        entropy = entropy_model(file_prior(loaded, model, prior, reader.header), loaded.codebook_size)
        decompressor = Decompressor(loaded, entropy, **settings)
        for piece in decompressor.pieces(reader):
            if piece.number:
                raise ConfigError(f"{file} holds several sounds, and a stream is one, the first; name a folder, --out")
            values = piece.values.numpy()
            if written is None and not came:
                out.write(wav_header(loaded.channels, rate or 0, None))
            came += values.shape[1]
            out.write(sixteen_bits(values).tobytes() if written is None else written.bytes_of(values))
            out.flush()
    if not came:
        raise DataError(f"{file} holds no sound")
    typer.echo(f"{_length(loaded, came)}", err=True)


@final
class StreamedSound:
    """The samples of standard input for a model, up to their end, a fault or Ctrl-C.

    Attributes:
        came: samples so far.
    """

    def __init__(self, model: Model, raw: str | None) -> None:
        from vqkit.signals.audio_file import mixing_words
        from vqkit.signals.pcm import PcmFormat, PcmReader

        if model.axes != 1:
            raise ConfigError(f"the model reads {model.kind.noun[1]}, and a stream is of sound: leave --stream away")
        form = None if raw is None else PcmFormat.of(raw)
        wanted = model.kind.rate
        if form is not None and form.rate is None and wanted is not None:
            raise ConfigError(f"--raw {raw}: say the samples a second too, as in --raw {form.name}@{wanted}")
        self.came = 0
        self._model, self._stopped, self._reading = model, False, False
        self._fault: BaseException | None = None
        self._reader = PcmReader(_input(), form, channels=model.channels)
        rate = self._reader.format.rate
        if wanted is not None and rate != wanted:
            raise DataError(
                f"the sound comes at {rate or 0:,} samples a second, and the model's have {wanted:,}: resample it "
                f"before, as ffmpeg -i - -ar {wanted} -f wav - does"
            )
        have = self._reader.format.channels or model.channels
        if have > model.channels:
            typer.echo(f"  note: {mixing_words(have, model.channels)}", err=True)

    def __iter__(self) -> Iterator[Samples]:
        pieces = iter(self._reader)
        with self._interrupted_in_reading():
            while not self._stopped:
                self._reading = True
                try:
                    piece = next(pieces, None)
                except (DataError, KeyboardInterrupt) as error:
                    self._fault, piece = error, None
                self._reading = False
                if piece is None:
                    break
                self.came += piece.shape[1]
                yield piece

    def end(self, written: str) -> None:
        """Say how much came and was written, and raise what ended it too early."""
        if self.came:
            typer.echo(f"{_length(self._model, self.came)}: {written}", err=True)
        if self._reader.beyond:
            typer.echo(f"  note: {counted(self._reader.beyond, 'sample')} beyond full scale, taken for it", err=True)
        if self._stopped or isinstance(self._fault, KeyboardInterrupt):
            raise KeyboardInterrupt
        if self._fault is not None and self.came:
            raise DataError(f"{self._fault}; what came before is written, and whole") from self._fault
        if self._fault is not None:
            raise self._fault
        if not self.came:
            raise DataError("no samples came on standard input, and a sound has one at least")

    @contextmanager
    def _interrupted_in_reading(self) -> Iterator[None]:
        """Within the block Ctrl-C and SIGTERM end what is read, and never what is computed or written of it."""

        def stop(*_: object) -> None:
            self._stopped = True
            if self._reading:
                raise KeyboardInterrupt

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _input() -> BinaryIO:
    stream = typer.get_binary_stream("stdin")
    if stream.isatty():
        raise ConfigError(
            "standard input is a terminal; pipe what is to be read into it: ffmpeg ... -f wav - | vqkit ..."
        )
    return stream


def _output(*, binary: bool) -> BinaryIO:
    stream = typer.get_binary_stream("stdout")
    if binary and stream.isatty():
        raise ConfigError("standard output is a terminal, which shows no bytes; redirect it: > FILE, or pipe it on")
    return stream


def _say_latency(model: IndexModel, own: str) -> None:
    """Say how long it takes, by its own side and by the networks of both sides."""
    stream = model.stream()
    both = stream.encoding_latency + stream.decoding_latency
    typer.echo(f"latency: {own}; of encoder and decoder {_time(model, both)}, computing aside", err=True)


def _time(model: Model, samples: int) -> str:
    """Samples as a time, where their rate is known."""
    rate = model.kind.rate
    return counted(samples, "sample") if rate is None else f"{samples / rate:.4g} s"


def _length(model: Model, samples: int) -> str:
    return f"{_time(model, samples)} of sound"
