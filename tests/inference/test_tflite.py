import subprocess
import sys
import time

import numpy as np
import pytest

from edge_agender.errors import ModelError
from edge_agender.inference.tflite import Network, dequantize, quantize, runtime_name
from tests.support import tiny_models
from tests.support.paths import ROOT


def test_outputs_carry_the_names_of_the_signature_not_of_the_tensors():
    network = Network(tiny_models.colour_means())
    picture = np.random.default_rng(0).random((1, 8, 8, 3), np.float32)
    outputs = network.run(picture)
    assert list(outputs) == ["means"]
    np.testing.assert_allclose(outputs["means"][0], picture.mean((0, 1, 2)), rtol=1e-5)


def test_what_a_run_returned_survives_the_next_run():
    network = Network(tiny_models.colour_means())
    first = network.run(np.ones((1, 8, 8, 3), np.float32))["means"]
    network.run(np.zeros((1, 8, 8, 3), np.float32))
    assert first.tolist() == [[1.0, 1.0, 1.0]]


def test_int8_goes_out_and_comes_back_by_the_tensors_own_scale():
    network = Network(tiny_models.bright_cells())
    values = np.array([-5.0, -1.0, 0.0, 0.5, 5.0])
    stored = quantize(values, network.input)
    assert stored.dtype == np.int8
    assert stored.tolist() == [-128, -64, 0, 32, 127]
    assert dequantize(stored, network.input).tolist() == [-2.0, -1.0, 0.0, 0.5, 127 / 64]


def test_a_float_tensor_needs_no_quantizing():
    network = Network(tiny_models.colour_means())
    values = np.array([0.25, 300.0])
    assert quantize(values, network.input).dtype == np.float32
    assert dequantize(values, network.input).tolist() == values.tolist()


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda model: model[: len(model) // 2], id="half"),
        pytest.param(lambda model: model[:-40], id="end missing"),
        pytest.param(lambda model: b"", id="empty"),
        pytest.param(lambda model: b"<html>404</html>" * 50, id="web page"),
        pytest.param(lambda model: b"\x89PNG\r\n" + model[6:], id="png"),
        pytest.param(lambda model: model[:4] + b"TFL3" + b"\xff" * 4000, id="right mark, wrong rest"),
    ],
)
def test_a_foreign_or_truncated_file_is_one_line_that_names_the_model(spoil):
    with pytest.raises(ModelError) as caught:
        Network(spoil(tiny_models.colour_means()), name="face-ssd")
    assert str(caught.value).startswith("face-ssd: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [np.zeros((1, 9, 8, 3), np.float32), np.zeros((1, 8, 8, 3), np.int8)])
def test_an_input_of_the_wrong_shape_or_type_is_refused(value):
    with pytest.raises(ModelError):
        Network(tiny_models.colour_means()).run(value)


def test_an_input_can_be_written_in_place():
    network = Network(tiny_models.colour_means())
    for value in (3, 5):
        assert network.feed(lambda place, value=value: place.fill(value))["means"].tolist() == [[value] * 3]


def test_a_network_knows_how_long_it_ran():
    network = Network(tiny_models.bright_cells())
    assert network.busy_s == 0
    began_s = time.perf_counter()
    network.run(np.zeros(network.input.shape, np.int8))
    assert 0 < network.busy_s <= time.perf_counter() - began_s


def test_nan_is_handed_on_for_the_estimator_to_judge():
    outputs = Network(tiny_models.roots()).run(np.full((1, 8, 8, 3), -1, np.float32))
    assert np.isnan(outputs["means"]).all()


def test_loading_says_nothing_on_stderr_but_keeps_what_others_write():
    code = (
        "import os; from tests.support import tiny_models; from edge_agender.inference import tflite\n"
        "with tflite._quiet_stderr(): os.write(2, b'another thread\\n')\n"
        "tflite.Network(tiny_models.bright_cells()).operators()\n"
        "os.write(2, b'after\\n')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT)
    assert done.stderr == b"another thread\nafter\n"


def test_loading_works_where_stderr_is_closed():
    code = (
        "import os; from tests.support import tiny_models\n"
        "from edge_agender.inference.tflite import Network\n"
        "os.close(2)\n"
        "print(list(Network(tiny_models.colour_means()).outputs))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT)
    assert done.stdout == b"['means']\n"


def fake_package(folder, name, source):
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text("")
    (folder / name / "interpreter.py").write_text(source)


def runtime_with(folder, *lines):
    """Return what runtime_name says in a process that finds packages in `folder` first."""
    code = "\n".join(
        [
            "import sys",
            f"sys.path.insert(0, {str(folder)!r})",
            *lines,
            "from edge_agender import errors; from edge_agender.inference import tflite",
            "try: print(tflite.runtime_name())",
            "except errors.ModelError as error: print(error)",
        ]
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_tflite_runtime_is_chosen_where_it_is_what_is_installed(tmp_path):
    fake_package(tmp_path, "tflite_runtime", "class Interpreter: pass")
    no_litert = "sys.modules['ai_edge_litert'] = None"
    numpy = "import numpy; numpy.__version__ = '{}'"
    assert runtime_with(tmp_path, no_litert, numpy.format("1.26.4")) == "tflite_runtime"
    assert runtime_with(tmp_path, numpy.format("1.26.4")) == "ai_edge_litert"
    assert "needs NumPy 1" in runtime_with(tmp_path, no_litert, numpy.format("2.2.0"))


def test_a_broken_runtime_is_one_line_that_says_which(tmp_path):
    fake_package(tmp_path, "ai_edge_litert", "raise ImportError('libpywrap.so: wrong ELF class')")
    assert "ai_edge_litert cannot be loaded: libpywrap.so" in runtime_with(tmp_path)


def test_int8_runs_in_xnnpack():
    if runtime_name() != "ai_edge_litert":
        pytest.skip("tflite-runtime's XNNPACK takes floats only")
    assert Network(tiny_models.bright_cells()).operators()[-1] == "DELEGATE"


def test_tensorflow_is_never_imported():
    code = "import sys; import edge_agender.inference.tflite as t; t.runtime_name(); print('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT).stdout == b"False\n"


def test_the_interpreter_keeps_no_picture() -> None:
    network = Network(tiny_models.colour_means())
    outputs = network.run(np.full(network.input.shape, 7, network.input.dtype))
    assert outputs["means"].tolist() == [[7.0, 7.0, 7.0]]
    assert not network._interpreter.get_tensor(network.input.index).any()
