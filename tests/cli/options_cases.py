"""The table of the walk: for every option of every command, two lines that differ in it alone.

A row is ``option | words of the first | words of the second | what is compared``: all files and words that come of it,
``settings`` (what run.json and settings.json record), or the files with some word in their names. The second may also
be refused; ``allowed``: the first is, and the second is not. ``.`` stands for no words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NET = "--hidden-channels 8 --residual-channels 4 -f 2 --batch-size 8 --no-tensorboard --steps 2 --lr 0.05"
_TRAINING = """
--out | . | . | location
--resume | . | --resume vq | all
--config | . | --config vq | all
--start | . | --start vq | all
--seed | . | --seed 1 | safetensors
--seeds | . | --seeds 0,1 | safetensors
--kbps | . | --kbps 3 | safetensors
--validation | . | --validation last:10 | safetensors
--crop | . | --crop 4 | safetensors
--flip | . | --flip | safetensors
--batch-size | . | --batch-size 5 | safetensors
--learning-rate | . | --lr 0.01 | safetensors
--objective | . | --objective likelihood+0.5*gradient | safetensors
--optimizer | . | --optimizer muon | safetensors
--schedule | . | --schedule constant | safetensors
--accumulate | . | --accumulate 2 | safetensors
--sharp | . | --sharp | settings
--patience | . | --patience 1 | best
--best-by | . | --best-by nmse | best
--steps | . | --steps 3 | safetensors
--minutes | . | --minutes 0.001 | settings
--precision | . | --precision bfloat16 | safetensors
--parallel | . | --parallel fsdp | safetensors
--checkpoint-seconds | . | --checkpoint-seconds 0 | checkpoints
--tensorboard | --no-tensorboard | --tensorboard | tensorboard
--set | . | --set average_decay=0 | safetensors
--codebook-size | . | --codebook-size 9 | safetensors
--code-dim | . | --code-dim 3 | safetensors
--downsampling | . | -f 4 | safetensors
--hidden-channels | . | --hidden-channels 12 | safetensors
--residual-blocks | . | --residual-blocks 1 | safetensors
--residual-channels | . | --residual-channels 3 | safetensors
--upsampling | . | --upsampling resize | safetensors
--quantizer | . | --quantizer gradient | safetensors
--latent-dim | . | --latent-dim 3 | safetensors
--conditional | . | --conditional | safetensors
--model | . | --model MODEL | safetensors
"""
_VALUES = """
--minutes | --minutes 0.001 | --minutes 0.002 | settings
"""
_OF_VECTORS = """
--crop | . | --crop 4 | safetensors
--flip | . | --flip | safetensors
--downsampling | . | --downsampling 4 | safetensors
--upsampling | . | --upsampling resize | safetensors
"""
_PRIOR = """
--out | . | . | location
--kind | . | --kind KIND | safetensors
--conditional | --unconditional | --conditional | safetensors
--vectors | . | --vectors vectors.npy | safetensors
--crop | . | --crop 4 | safetensors
--crops | . | --crops 50 | safetensors
--rate-weights | . | --rate-weights 9000 | safetensors
--condition-dropout | . | --condition-dropout 0.6 | safetensors
--steps | . | --steps 3 | safetensors
--minutes | . | --minutes 0.001 | settings
--hidden-channels | . | --hidden-channels 16 | safetensors
--layers | . | --layers 2 | safetensors
--batch-size | . | --batch-size 5 | safetensors
--learning-rate | . | --lr 0.01 | safetensors
--validation | . | --validation last:20 | safetensors
--seed | . | --seed 1 | safetensors
--set | . | --set average_decay=0 | safetensors
"""
_SAMPLE = """
--out | . | . | location
--prior | . | --prior PRIOR | all
--n | . | --n 3 | all
--class | . | --class b | all
--vectors | . | --vectors vectors.npy | all
--temperature | . | --temperature 0.1 | all
--decoder-temperature | . | --decoder-temperature 0.1 | all
--top-k | . | --top-k 1 | all
--top-p | . | --top-p 0.05 | all
--guidance | . | --guidance 99 | all
--steps | . | --steps 1 | all
--seed | . | --seed 1 | all
--check | . | --check | all
"""
_EVAL = """
--json | . | --json OUT/e.json | all
--prior | . | --prior PRIOR | all
--importance-samples | . | --importance-samples 3 | all
--preview | . | --preview OUT/p.png | all
--database | . | --database data | all
"""
_SCORE = """
--out | . | --out OUT/s.json | all
--against | . | --against table | all
--prior | . | --prior PRIOR | all
--maps | . | --maps OUT/m | all
--top | . | --top 3 | all
--by | . | --by psnr_db | all
"""
_IDS = """
--out | . | . | location
--balanced | . | --balanced | all
--capacity | --balanced | --balanced --capacity 2 | all
--candidates | --balanced | --balanced --candidates 1 | all
--last-digit | . | --no-last-digit | all
--extend | . | --extend old | all
--names | . | --names names.txt | all
--parquet | . | --parquet | all
--codebooks | . | --codebooks 1 | all
"""
_EDIT = """
--out | . | . | location
--prior | . | --prior masked/run | all
--n | . | --n 3 | all
--class | . | --class a | all
--temperature | . | --temperature 0.1 | all
--top-k | . | --top-k 1 | all
--top-p | . | --top-p 0.05 | all
--guidance | . | --guidance 99 --class a | all
--blend | . | --decoded | all
--seed | . | --seed 1 | all
"""
_COMPRESS = """
--model | . | --model MODEL | all
--out | . | . | location
--prior | . | --prior PRIOR | all
--rate | . | --rate 0.3 | all
--codebooks | . | --codebooks CODEBOOKS | all
--kbps | . | --kbps 1 | all
--rate-weight | . | --rate-weight 9000 | all
--optimize | --rate-weight 900 | --rate-weight 900 --optimize | all
--progressive | . | --progressive | all
--lossless | . | --lossless | all
--pixels | . | --pixels pixels2 | all
--json | . | --json OUT/s.json | all
"""
_ADD = "\n".join(
    line for line in _COMPRESS.splitlines() if line.split(" | ")[0] in
    ("--model", "--prior", "--codebooks", "--kbps", "--rate-weight", "--lossless")
)  # fmt: skip
_COMPARE = """
--out | . | . | location
--steps | . | --steps 3 | json
--codebook-size | . | --codebook-size 9 | json
--downsampling | . | --downsampling 2 | json
--hidden-channels | . | --hidden-channels 4 | json
--batch-size | . | --batch-size 5 | json
--validation | . | --validation last:50 | json
--features | . | --features options_features:blurred | json
--beta | . | --beta 9 | json
--beta-warmup | . | --beta-warmup 0 | json
--free-bits | . | --free-bits 9 | json
--rungs | . | --rungs pca | json
--seed | . | --seed 1 | json
--seeds | . | --seeds 0,1 | json
--set | . | --set learning_rate=0.1 | json
"""
_CODEBOOKS = """
--out | . | . | location
--sizes | . | --sizes 5 | json
--quantizers | . | --quantizers gradient | json
--steps | . | --steps 3 | json
--downsampling | . | --downsampling 2 | json
--hidden-channels | . | --hidden-channels 4 | json
--batch-size | . | --batch-size 5 | json
--validation | . | --validation last:9 | json
--seed | . | --seed 1 | json
--seeds | . | --seeds 0,1 | json
--set | . | --set learning_rate=0.1 | json
"""
_BETA = """
--out | . | . | location
--betas | . | --betas 2 | json
--remedies | . | --remedies warmup | json
--latent-dim | . | --latent-dim 3 | json
--free-bits | --remedies free-bits | --remedies free-bits --free-bits 9 | json
--beta-warmup | --remedies warmup | --remedies warmup --beta-warmup 9 | json
--steps | . | --steps 3 | json
--downsampling | . | --downsampling 2 | json
--hidden-channels | . | --hidden-channels 4 | json
--batch-size | . | --batch-size 5 | json
--validation | . | --validation last:50 | json
--seed | . | --seed 1 | json
--seeds | . | --seeds 0,1 | json
--set | . | --set learning_rate=0.1 | json
"""
_LATENTS = """
--out | . | . | location
--cells | . | --cells 3 | json
--beta | . | --beta 9 | json
--steps | . | --steps 3 | json
--downsampling | . | --downsampling 2 | json
--hidden-channels | . | --hidden-channels 4 | json
--batch-size | . | --batch-size 5 | json
--validation | . | --validation last:50 | json
--seed | . | --seed 1 | json
--seeds | . | --seeds 0,1 | json
--set | . | --set learning_rate=0.1 | json
"""
_RATE_DISTORTION = """
--model | . | --model vq | json
--out | . | . | location
--rate-weights | . | --rate-weights 0,9000 | json
--codebooks | . | --codebooks 1 | json
--prior | . | --prior none | json
--images | . | --images 2 | json
--set | . | --set jpeg=[20] | json
"""
_PROBE = """
--out | . | . | location
--labels | . | --labels odd.json:odd | json
--validation | . | --validation last:9 | json
--seed | . | --seed 1 | json
--set | . | --set parts=2 | json
"""


@dataclass(frozen=True)
class Case:
    """Two lines that differ in one option.

    Attributes:
        command: as ``vqkit`` knows it.
        option: its long name.
        first: words of the reference.
        second: words of the other.
        by: what is compared.
        what: the kind of model, or of data.
    """

    command: str
    option: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    by: str
    what: str

    def __str__(self) -> str:
        return f"{self.command} {self.option} {self.what}".replace(" ", "_")


def _rows(command: str, line: str, table: str, what: str, **words: str) -> list[Case]:
    """The rows of a table on a line; ``MODEL``, ``KIND``, ``PRIOR`` in it are replaced."""
    for name, value in words.items():
        table = table.replace(name, value)
    found = []
    for row in table.strip().splitlines():
        option, first, second, by = (part.strip() for part in row.split("|"))
        base = line.split()
        found.append(
            Case(command, option, (*base, *_words(first)), (*base, *_words(second)), by, what),
        )
    return found


def _words(text: str) -> list[str]:
    return [] if text == "." else text.split()


def _all_cases() -> list[Case]:
    found: list[Case] = []
    others = {"vqvae": "vae", "vae": "ae", "pca": "vqvae --steps 2 --hidden-channels 8"}
    for kind, other in others.items():
        net = "--no-tensorboard --latent-dim 4" if kind == "pca" else _NET
        codes = " -k 8 --code-dim 4" if kind == "vqvae" else ""
        line = f"train data --out OUT/r --model {kind} {net}{codes}"
        found += _rows("train", line, _TRAINING, kind, MODEL=other)
    plain = f"train data --out OUT/r {_NET.replace('--steps 2 ', '')} -k 8 --code-dim 4"
    found += _rows("train", plain, _VALUES, "minutes")
    table = "train table.npy --out OUT/r --batch-size 8 --no-tensorboard --steps 2 -k 8 --hidden-channels 8"
    found += _rows("train", table, _OF_VECTORS, "vectors")
    for kind in ("pixelcnn", "masked", "context", "histogram"):
        small = "" if kind == "histogram" else " --hidden-channels 8 --layers 1 --steps 2 --batch-size 8 --lr 0.05"
        line = f"prior vq --out OUT/p --kind {kind}{small}"
        other = {"pixelcnn": "context", "histogram": "pixelcnn --steps 2 --hidden-channels 8"}.get(kind, "pixelcnn")
        rows = [row for row in _PRIOR.splitlines() if kind == "histogram" or not row.startswith("--crop ")]
        found += _rows("prior", line, "\n".join(rows), kind, KIND=other)  # crops are cut before a prior is asked
    line = "prior vq mixed --out OUT/p --hidden-channels 8 --layers 1 --steps 2 --batch-size 8 --lr 0.05 --crops 40"
    found += _rows(
        "prior", line, "--crops | . | --crops 60 | safetensors\n--crop | . | --crop 8 | safetensors", "mixed"
    )
    line = "prior vq --out OUT/p --unconditional --hidden-channels 8 --layers 1 --batch-size 8"
    found += _rows("prior", line, _VALUES, "minutes")
    line = "lossless vq --out OUT/p --hidden-channels 8 --batch-size 8 --set layers=1 --set token_channels=8"
    lossless = (
        "".join(f"{row}\n" for row in _PRIOR.splitlines() if row.split(" ")[0] in LOSSLESS)
        + "--neighbours | . | --neighbours 6 | safetensors\n--flip | . | --no-flip | safetensors\n"
    )
    found += _rows("lossless", f"{line} --steps 2", lossless, "images")
    found += _rows("lossless", line, _VALUES, "minutes")
    for model, prior, more in (("vq", "masked/run", ""), ("vq", "masked/run", " --prior vec/run --vectors tail.npy"),
                               ("vq", "vq/prior/run", " --prior masked/run"), ("vae", "masked/run", ""),
                               ("pca", "masked/run", "")):  # fmt: skip
        line = f"sample {model} --out OUT/s --n 6{more}"
        found += _rows("sample", line, _SAMPLE, f"{model}{more.replace(' --prior', '')}", PRIOR=prior)
    for model in ("vq", "vae", "pca"):
        found += _rows("eval", f"eval {model} data", _EVAL, model, PRIOR="masked/run")
        sheet = "--out | . | . | location\n--count | . | --count 3 | all\n--columns | . | --columns 5 | all"
        found += _rows("reconstruct", f"reconstruct {model} data --out OUT/s.png", sheet, model)
    for model in ("vq", "vae", "pca"):
        found += _rows("score", f"score {model} data --against many.npy", _SCORE.replace("table", "data"), model,
                       PRIOR="masked/run")  # fmt: skip
    used = "--codebooks | . | --codebooks 1 | all\n--kbps | . | --kbps 1 | all"
    for command, out in (("eval", ""), ("reconstruct", " --out OUT/s.png"), ("encode", " --out OUT/t")):
        found += _rows(command, f"{command} rq data{out}", used, "residual")
    encode = "--out | . | . | location\n--format | . | --format parquet | all\n--plan | . | --plan | all"
    found += _rows("encode", "encode vq data --out OUT/t", f"{encode}\n--shard-items | . | --shard-items 7 | all", "vq")
    found += _rows(
        "export",
        "export vq data --out OUT/e --format torch --part decoder",
        "--out | . | . | location\n--part | . | --part encoder | all",
        "vq",
    )
    found += _rows("ids", "ids items table.npy --out OUT/i", _IDS, "items")
    ids = ("--vocab-offset", "--bos", "--eos", "--begin", "--end", "--class-offset")
    sequences = "\n".join(f"{name} | . | {name} 700 | all" for name in ids)
    found += _rows("encode", "encode vq data --out OUT/t --format jsonl", sequences, "sequences")
    delayed = "--order | . | --order flat | all\n--shared-ids | . | --shared-ids | all\n"
    delayed += "--pad | --order delayed --pad 900 | --order delayed --pad 901 | all"
    found += _rows("encode", "encode rq data --out OUT/t --format jsonl", delayed, "residual")
    decode = "--out | . | . | location\n--limit | . | --limit 3 | all\n--temperature | . | --temperature 0.5 | all"
    decode += "\n--preview | . | --preview OUT/p.png | all"
    found += _rows("decode", "decode vq tokens --out OUT/d", decode, "vq")
    found += _rows("decode", "decode vq2 tokens --out OUT/d", "--any-model | . | --any-model | allowed", "vq")
    found += _rows("decode", "decode cond ctokens --out OUT/d", "--to | . | --to b | all", "classes")
    found += _rows("sample", "sample cond --out OUT/s --n 6", "--to | . | --to a | all", "classes")
    voices = "--to | --to a | --to b | all\n--temperature | --to a | --to a --temperature 0.5 | all"
    found += _rows("decompress", "decompress c.vqk --model cond --out OUT/d", voices, "classes")
    found += _rows("convert", "convert cond data --out OUT/c", voices, "classes")
    some = "--out | . | . | location\n--only | . | --only 00* | all\n--count | . | --count 3 | all"
    found += _rows("convert", "convert cond data --out OUT/c --to a", some, "some")
    line = "edit cond data/a/00.png --out OUT/e --n 2 --box 0,0,4,4 --prior cond/prior/run"
    found += _rows("edit", line, "--as | --as a | --as b | all", "classes")
    edits = ("--box 0,0,4,4", "--mask mask.png", "--extend right=4", "--to data/b/01.png")
    for each in edits:
        found += _rows("edit", f"edit vq data/a/00.png --out OUT/e --n 4 {each}", _EDIT, each.split()[0])
    ways = """--box | --box 0,0,4,4 | --box 4,4,4,4 | all
        --mask | --box 4,4,4,4 | --mask mask.png | all
        --extend | --extend right=4 | --extend right=2 | all
        --to | --to data/b/01.png | --to data/b/03.png | all"""
    found += _rows("edit", "edit vq data/a/00.png --out OUT/e --n 4", ways, "way")
    for model, prior, other, books in (("vq", "vq/context/run", "rq", "2"), ("rq", "none", "vq", "1")):
        line = f"compress data --model {model} --out OUT/f.vqk"
        found += _rows("compress", line, _COMPRESS, model, PRIOR=prior, MODEL=other, CODEBOOKS=books)
        found += _rows("add", f"add OUT/f.vqk data --model {model}", _ADD, model, PRIOR=prior, MODEL=other,
                       CODEBOOKS=books)  # fmt: skip
    found += _rows(
        "add", "add OUT/f.vqk data --model vq --lossless", "--pixels | . | --pixels pixels2 | all", "lossless"
    )
    pixels = (
        "--pixels | . | --pixels pixels2 | all\n--rate | . | --rate 0.3 | all\n--codebooks | . | --codebooks 2 | all"
    )
    found += _rows("compress", "compress data --model vq --out OUT/f.vqk --lossless", pixels, "lossless")
    for file, prior in (("f", "vq/prior/histogram"), ("l", "vq/context/run"), ("one", "vq/context/run")):
        table = f"""--model | . | --model rq | all
            --out | . | . | location
            --prior | . | --prior {prior} | all
            --pixels | . | --pixels pixels2 | all
            --codebooks | . | --codebooks 2 | all
            --max-values | . | --max-values 9 | all"""
        found += _rows("decompress", f"decompress {file}.vqk --model vq --out OUT/d", table, file)
        some = "\n".join(
            line for line in table.splitlines() if "--codebooks" not in line and "--max-values" not in line
        )
        found += _rows("extract", f"extract {file}.vqk 0 --model vq --out OUT/d", some, file)
        found += _rows("verify", f"verify {file}.vqk --model vq", re.sub(".*--out.*\n", "", some), file)
    found += _rows("extract", "extract c.vqk 0 --model cond --out OUT/d --to a", "--to | . | --to b | all", "classes")
    found += _rows("verify", "verify f.vqk --model vq", "--checksums | . | --checksums | all", "file")
    found += _rows("decompress", "decompress l.vqk --model vq --out OUT/d", "--fast | . | --fast | all", "lossless")
    line = "quantize gvae data --out OUT/q --codebook-size 8"
    made = "--codebook-size | . | --codebook-size 4 | safetensors\n--group-size | . | --group-size 2 | safetensors"
    found += _rows("quantize", line, f"{made}\n--seed | . | --seed 1 | safetensors\n--out | . | . | location", "gvae")
    inspect = "--json | . | --json OUT/i.json | all\n--groups | . | --groups 0 | all\n--list | . | --list | all"
    found += _rows("inspect", "inspect f.vqk", inspect, "file")
    net = "--hidden-channels 8 --steps 2 --batch-size 8"
    line = f"compare many.npy --out OUT/c {net} --rungs ae --features random --validation 0.4 --set samples=32"
    found += _rows("compare", line, _COMPARE, "images")
    found += _rows("compare", line.replace("ae", "pca"), "--codebook-size | . | -k 4 | json", "pca")
    line = f"study codebooks data --out OUT/c {net} --sizes 4 --quantizers ema"
    found += _rows("study codebooks", line, _CODEBOOKS, "images")
    line = f"study beta many.npy --out OUT/c {net} --validation 0.4"
    found += _rows("study beta", f"{line} --betas 1 --remedies none --latent-dim 2", _BETA, "images")
    found += _rows("study latents", f"study latents many.npy --out OUT/c {net} --validation 0.4", _LATENTS, "images")
    off = " ".join(f"--set {name}=[]" for name in ("webp", "avif", "jpeg_xl", "jpeg_2000"))
    line = f"study rate-distortion data --model rq --out OUT/d --images 1 {off} --set jpeg=[50] --set shown=0"
    found += _rows("study rate-distortion", line, _RATE_DISTORTION, "rq")
    line = "probe vq data --out OUT/p --validation 0.3 --set parts=1 --set permutations=1 --set resamples=50"
    found += _rows("probe", line, _PROBE, "images")
    found += _rows("table", "table vq pca --out OUT/t.md", _TABLE, "runs")
    return found


_TABLE = """
--out | . | . | location
--csv | . | --csv | all
--latex | . | --latex | all
--markdown | --csv | --markdown | all
--columns | . | --columns model,psnr_db | all
--best | . | --best | all
"""
LOSSLESS = (
    "--out", "--steps", "--minutes", "--hidden-channels", "--batch-size", "--learning-rate", "--crop", "--validation",
    "--seed", "--set",
)  # fmt: skip
EXEMPT = {
    "--threads": "how fast, never what",
    "--memory-limit": "where the data lies, never what it is: tests of sources",
    "--kind": "what the data are, read by one place for all commands: tests of signals",
    **dict.fromkeys(
        ("--layout", "--nodata", "--scaling", "--depth"), "what fields are, said by their kind: tests of fields"
    ),
    "--rgb": "of fields, and the data here are images and sounds: tests of pictures of fields",
    **dict.fromkeys(("--columns", "--group", "--window", "--hop"), "of series: tests/data/test_series.py"),
    "--max-error": "of fields, and the data here are images and sounds: tests/codec/test_bounded.py",
    "--peak": "of fields, and the data here are images and sounds: tests of fields",
    "--labels": "which classes the data have, read by one place for all commands: tests of label files",
    "--force": "tests of what is overwritten",
    "--stream": "sound through pipes: tests of streams",
    "--raw": "sound through pipes: tests of streams",
    "--every": "sound through pipes: tests of streams",
    "--device": "this machine may have one only; a wrong name is refused, see below",
}
EXEMPT_HERE = {
    **{
        ("plot", option): "needs the extra plot; tests of figures"
        for option in ("--out", "--kind", "--measure", "--x", "--log", "--label", "--width")
    },
    ("demo", "--out"): "minutes of training; tests of the demo look at its folder",
    ("train", "--compile"): "half a minute of compiling; tests of training compile once",
    ("decompress", "--fast"): "float32 gives other pixels on some machines only; for lossless files it is refused",
    ("decompress", "--format"): "of sounds; tests of sound files",
    ("reconstruct", "--format"): "of sounds; tests of sound files",
    ("reconstruct", "--files"): "of sounds; tests of sound files",
    ("edit", "--from"): "of sounds; tests of stretches",
    ("study rate-distortion", "--kbps"): "of sounds; tests of studies on sound",
    ("inspect", "--model"): "of sounds; tests of sound files",
    ("add", "--workers"): "how fast, never what",
    ("add", "--max-error"): "of fields, and the data here are images: tests of archives",
    ("compress", "--workers"): "how fast, never what: tests of several processes",
    ("decompress", "--workers"): "how fast, never what: tests of several processes",
    ("compress", "--max-error"): "of fields, and the data here are images: tests of files within a bound",
    ("decode", "--like"): "of files of science: tests of grids",
    ("decompress", "--like"): "of files of science: tests/cli/test_like.py",
    ("train", "--for"): "a dozen settings at once: tests of purposes",
    ("prior", "--for"): "a dozen settings at once: tests of purposes",
    ("eval", "--batch-size"): "no result depends on it, by design",
    ("score", "--batch-size"): "no result depends on it, by design: tests of scores",
    ("encode", "--batch-size"): "no result depends on it, by design",
    ("export", "--format"): "ten seconds of tracing; tests of exports write both",
    ("lab", "--host"): "a server: tests of the lab",
    ("lab", "--port"): "a server: tests of the lab",
    ("lab", "--browser"): "a server: tests of the lab",
    ("ids", "--batch-size"): "no result depends on it, by design",
    ("eval", "--workers"): "no result depends on it, by design: tests of evaluation by workers",
    ("ids", "--workers"): "no result depends on it, by design: tests of ids",
    ("encode", "--workers"): "no result depends on it, by design: tests of workers",
    ("encode", "--engine"): "no result depends on it, by design: tests of workers; an unknown one is refused there",
    ("decode", "--batch-size"): "no result depends on it, by design",
}
CASES = _all_cases()
