"""`edge-agender preview`: a recording of one's own with boxes, ages and genders drawn on it, on a page or as a film.

A verb and a process of its own. It shows pictures, which the service never does: commands/preview/rules.py says when
it refuses.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from edge_agender.commands.options import add_config_flags, config_path
from edge_agender.common.logs import configure_logging
from edge_agender.errors import UsageError

DEFAULT_PORT = 8090


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "what",
        metavar="WHAT",
        help="a video, a picture, a folder of them, or demo; with --i-am-in-view also /dev/video0 or a URL",
    )
    add_config_flags(parser)
    parser.add_argument("--out", type=Path, metavar="FILE.mp4", help="write a film instead of showing a page")
    parser.add_argument("--blur", action="store_true", help="cover the faces")
    parser.add_argument("--loop", action="store_true", help="start again at the end")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, metavar="N", help="of the page (%(default)s); 0: any")
    parser.add_argument("--i-am-in-view", action="store_true", help="allows a live camera that shows you alone")


def run(options: Namespace) -> int:
    configure_logging("error")
    if not 0 <= options.port <= 65535:
        raise UsageError(f"--port {options.port}: give a number from 0 to 65535")
    from edge_agender.commands.preview.playlist import playlist
    from edge_agender.commands.preview.rules import refuse_to_show
    from edge_agender.config.load import load
    from edge_agender.imaging.quiet import silence_opencv
    from edge_agender.recordings.configuration import recording_config

    service = load(config_path(options))
    refuse_to_show(options.what, service, in_view=options.i_am_in_view, writes=options.out is not None)
    silence_opencv()
    found = playlist(options.what)
    if found.pictures:
        return _pictures(options, found.pictures)
    path, paced = config_path(options), options.out is None
    configs = [(Path(each).name, recording_config(path, options.overrides, each, paced=paced)) for each in found.videos]
    # Imported last: a refusal needs no network and no library of pictures.
    from edge_agender.commands.preview.show import film, show_on_page

    if options.out is None:
        show_on_page(configs, port=options.port, blur=options.blur, again=options.loop)
    elif len(configs) > 1:
        raise UsageError(f"{options.what}: --out writes one film: give one of its {len(configs)} videos")
    else:
        film(configs[0][1], configs[0][0], options.out, blur=options.blur)
    return 0


def _pictures(options: Namespace, pictures: tuple[Path, ...]) -> int:
    if options.out is not None:
        raise UsageError(f"{options.what}: pictures: edge-agender predict --out DIR marks them")
    from edge_agender.commands.preview.show import show_pictures
    from edge_agender.vision.stills import open_predictor

    predict = open_predictor("ssd", None, None)
    show_pictures(pictures, predict, port=options.port, blur=options.blur, again=options.loop)
    return 0
