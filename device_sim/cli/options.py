"""Options that several commands share, and the types of their arguments."""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from device_sim import plant_file, profile
from device_sim.mqtt.broker_access import BrokerAccess, NegotiatedVersion
from device_sim.mqtt.credentials import read_credentials, read_password, tls_context
from device_sim.mqtt.demo_broker import DEFAULT_ADDRESS, DEMO_SETTINGS_FILE, default_broker
from device_sim.plant_file import PlantSpec
from device_sim.profile import Profile

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names no public type

HELP_COLUMN: Final = 28  # at which the descriptions of options begin


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=HELP_COLUMN)


def new_parser(commands: "Commands", name: str, *, about: str, examples: str | None = None) -> argparse.ArgumentParser:
    """Add the parser of a command; `about` is a sentence without its capital and full stop."""
    return commands.add_parser(
        name,
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        epilog=None if examples is None else f"examples:\n{examples}",
        formatter_class=_Formatter,
    )


def add_plant(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--plant", type=Path, default=plant_file.SHIPPED, metavar="FILE", help="plant file (default: the shipped plant)"
    )


def add_seed(parser: argparse.ArgumentParser, about: str) -> None:
    parser.add_argument("--seed", type=int, default=1, metavar="N", help=f"{about} (default: %(default)s)")


def add_broker(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("broker")
    group.add_argument(
        "--broker", type=address, metavar="HOST:PORT",
        help="address (default: the broker of a demo that runs in this folder, else 127.0.0.1:1883)",
    )  # fmt: skip
    group.add_argument(
        "--root", type=topic_root, default="floor/v1", metavar="TOPIC",
        help="first levels of every topic (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--mqtt", choices=("auto", "5", "3.1.1"), default="auto",
        help="protocol version; auto: 5, or 3.1.1 if the broker rejects that (default: %(default)s)",
    )  # fmt: skip
    group.add_argument("--username", metavar="NAME", help="one account for all devices")
    group.add_argument("--password-file", type=Path, metavar="FILE", help="file with the password of that account")
    group.add_argument(
        "--credentials", type=Path, metavar="PATH",
        help="an account per device: the folder of mosquitto/make-passwords.sh, or a file of lines "
        "`site/area/line/device:password`",
    )  # fmt: skip
    group.add_argument("--client-prefix", default="", metavar="TEXT", help="prefix of every client id")
    group.add_argument("--ca-file", type=Path, metavar="FILE", help="connect with TLS and trust this CA")


def read_plant(options: argparse.Namespace) -> PlantSpec:
    return plant_file.load(options.plant)


def read_profile(name_or_path: str | None, spec: PlantSpec) -> Profile:
    """Return a profile; the one without a disturbance for None."""
    return Profile(name="undisturbed") if name_or_path is None else profile.load(name_or_path, spec=spec)


def broker_access(options: argparse.Namespace) -> BrokerAccess:
    host, port = options.broker or default_broker(Path.cwd())
    return BrokerAccess(
        host=host,
        port=port,
        found_in="" if options.broker or (host, port) == DEFAULT_ADDRESS else f" (of {DEMO_SETTINGS_FILE})",
        root=options.root,
        username=options.username,
        password=read_password(options.password_file) if options.password_file else None,
        credentials=read_credentials(options.credentials) if options.credentials else {},
        client_prefix=options.client_prefix,
        tls=tls_context(options.ca_file),
        version=NegotiatedVersion(options.mqtt),
    )


def address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:1883")
    return host.strip("[]"), int(port)


def topic_root(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the start of a topic, such as floor/v1")
    return text


def positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value
