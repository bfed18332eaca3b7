import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from bridge.settings.broker import BrokerSettings
from bridge.settings.load import SettingsError, load_settings
from bridge.settings.settings import DAY_MS, MAX_DAYS, JournalSettings, Settings
from bridge.settings.web import WebSettings

SECRET = "0123456789abcdef0123456789abcdef"
DOCUMENT = Path(__file__).parent.parent / "docs" / "settings.md"


def names(model: type[BaseModel], prefix: str = "") -> list[str]:
    paths = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            paths += names(kind, f"{prefix}{name}.")
        else:
            paths.append(prefix + name)
    return paths


def write(folder: Path, text: str) -> Path:
    path = folder / "floor.toml"
    path.write_text(text)
    return path


def test_every_setting_is_documented_and_nothing_else() -> None:
    documented = re.findall(r"^\| `([a-z_.0-9]+)` \|", DOCUMENT.read_text(), re.MULTILINE)
    assert documented == names(Settings)


def test_documented_defaults_are_true() -> None:
    """The second column of the table is the default, as TOML or «-» where there is none."""
    rows = dict(re.findall(r"^\| `([a-z_.0-9]+)` \| ([^|]+) \|", DOCUMENT.read_text(), re.MULTILINE))
    defaults = Settings.model_validate({"token": {"secret": SECRET}})
    for name, expected in rows.items():
        value: object = defaults
        for part in name.split("."):
            value = getattr(value, part)
        if name == "token.secret":
            continue
        text = "-" if value is None or value == () else str(value).lower() if isinstance(value, bool) else str(value)
        assert expected.strip().strip("`") == text, name


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, f'[token]\nsecret = "{SECRET}"\n[broker]\nport = 1884\n[web]\nport = 9000\n')
    read = load_settings(
        path, {"FLOOR_WEB__PORT": "9001", "FLOOR_WEB__ALLOWED_ORIGINS": "http://a,http://b", "OTHER": "1"}
    )
    assert (read.broker.port, read.web.port) == (1884, 9001)
    assert read.web.allowed_origins == ("http://a", "http://b")


def test_paths_in_the_file_are_relative_to_it(tmp_path: Path) -> None:
    path = write(tmp_path, f'plant_file = "p.toml"\n[token]\nsecret = "{SECRET}"\n[journal]\npath = "j.db"\n')
    read = load_settings(path, {})
    assert (read.plant_file, read.journal.path) == (tmp_path / "p.toml", tmp_path / "j.db")


def test_default_paths_are_relative_to_the_file_too(tmp_path: Path) -> None:
    read = load_settings(write(tmp_path, f'[token]\nsecret = "{SECRET}"\n'), {})
    assert read.plant_file == tmp_path / "plant.toml"
    assert read.journal.path == tmp_path / ".floor" / "journal.db"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "floor.toml: token: set token.secret_file, token.secret or token.public_key_file"),
        ('[token]\nsecret = "short"', "at least 32 bytes"),
        ('[token]\nalgorithm = "RS256"', "RS256 needs public_key_file"),
        ('[token]\nalgorithm = "none"', "token.algorithm"),
        (f'[token]\nsecret = "{SECRET}"\n[broker]\nprot = 1', "broker.prot: no such field; did you mean port?"),
        (f'[token]\nsecret = "{SECRET}"\n[xx]\nprot = 1', "floor.toml: xx: no such field"),
        (f'[token]\nsecret = "{SECRET}"\n[web]\nport = 0', "web.port"),
        (f'root = "floor/#"\n[token]\nsecret = "{SECRET}"', "root"),
        (f'[token]\nsecret = "{SECRET}"\n[time]\nanchor_wall = 1', "belong together"),
        (
            f'[token]\nsecret = "{SECRET}"\n[web]\nmax_unauthenticated_bytes = 9_000',
            "web.max_unauthenticated_bytes must be at least 9216",
        ),
        ("[token", "floor.toml"),
        (f"root = {'9' * 5_000}", "floor.toml: "),
        (
            f'[token]\nsecret = "{SECRET}"\n[journal]\nkeep_events_days = inf',
            "journal.keep_events_days: must be a finite",
        ),
    ],
)
def test_an_error_names_file_and_setting(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, text), {})
    assert expected in str(caught.value)
    assert "floor.toml" in str(caught.value)


PATHS = (
    "plant_file", "policy_file", "broker.password_file", "broker.front_password_file", "broker.canary_password_file",
    "broker.canary_cert_file", "broker.canary_key_file", "broker.ca_file",
    "broker.cert_file", "broker.key_file", "journal.path", "token.secret_file", "token.public_key_file",
    "token.revoked_file", "web.tls_cert_file", "web.tls_key_file",
)  # fmt: skip


def test_the_paths_are_all_that_there_are() -> None:
    assert sorted(PATHS) == sorted(name for name in names(Settings) if name.endswith(("_file", ".path")))


@pytest.mark.parametrize("value", ["5", '"a\\u0000b"'])
@pytest.mark.parametrize("name", PATHS)
def test_a_path_that_no_system_can_open_is_an_error(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"{name}: ")):
        load_settings(write(tmp_path, f"{name} = {value}\n"), {"FLOOR_TOKEN__SECRET": SECRET})


def numbers(schema: dict[str, Any], model: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the schema of each number in a model, its sections included."""
    for field in model["properties"].values():
        for form in field.get("anyOf", [field]):
            if "$ref" in form:
                section = schema["$defs"][form["$ref"].removeprefix("#/$defs/")]
                yield from numbers(schema, section) if "properties" in section else ()
            elif form.get("type") in ("number", "integer"):
                yield form


def test_every_number_has_bounds() -> None:
    schema = Settings.model_json_schema()
    found = list(numbers(schema, schema))
    assert len(found) > 20
    for form in found:
        assert {"minimum", "exclusiveMinimum"} & set(form), form
        assert {"maximum", "exclusiveMaximum"} & set(form), form


def test_the_longest_retention_can_be_computed() -> None:
    longest = JournalSettings(keep_events_days=MAX_DAYS, keep_inputs_days=MAX_DAYS).keep
    assert longest.events_ms == longest.inputs_ms == MAX_DAYS * DAY_MS


def test_a_file_nested_too_deeply_is_an_error_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "a = " + "[" * 5_000)
    with pytest.raises(SettingsError, match=re.escape(f"{path}: nested too deeply")):
        load_settings(path, {})


def test_an_unknown_environment_setting_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, f'[token]\nsecret = "{SECRET}"\n')
    with pytest.raises(SettingsError, match=r"web\.prot"):
        load_settings(path, {"FLOOR_WEB__PROT": "9001"})


def test_a_fault_in_an_environment_variable_names_the_variable(tmp_path: Path) -> None:
    path = write(tmp_path, "[broker]\nport = 0\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(path, {"FLOOR_TOKEN__SECRET": SECRET, "FLOOR_WEB__PORT": "x"})
    assert str(caught.value).splitlines() == [
        f"{path}: broker.port: must be at least 1, not 0",
        'FLOOR_WEB__PORT: web.port: must be a whole number, not "x"',
    ]


def test_passwords_may_stand_in_files(tmp_path: Path) -> None:
    (tmp_path / "bridge.password").write_text("sesame-sesame\n")
    path = write(tmp_path, f'[token]\nsecret = "{SECRET}"\n[broker]\npassword_file = "bridge.password"\n')
    password = load_settings(path, {}).broker.password
    assert password is not None
    assert password.get_secret_value() == "sesame-sesame"
    with pytest.raises(SettingsError, match="not both"):
        load_settings(path, {"FLOOR_BROKER__PASSWORD": "x"})
    (tmp_path / "bridge.password").unlink()
    with pytest.raises(SettingsError) as caught:
        load_settings(path, {})
    assert str(caught.value) == f"broker.password_file {tmp_path / 'bridge.password'}: No such file or directory"


@pytest.mark.parametrize("text", ["proxy.example", "10.0.0.0/33", "*", "", "10.0.0.1:80", "10.0.0.0/8,10.1.0.0/16"])
def test_a_proxy_is_an_address_or_a_network(text: str) -> None:
    with pytest.raises(ValueError, match="must be an address or a network"):
        WebSettings(trusted_proxies=(text,))
    assert WebSettings(trusted_proxies=("10.1.2.3/8", "::1")).trusted_proxies == ("10.0.0.0/8", "::1")


@pytest.mark.parametrize("text", ["floor.example:443", "https://floor.example", "", "a..b", "[::1]", "*.example"])
def test_an_allowed_host_is_a_name(text: str) -> None:
    with pytest.raises(ValueError, match="must be a name without port"):
        WebSettings(allowed_hosts=(text,))
    assert WebSettings(allowed_hosts=("Floor.Example", "*")).allowed_hosts == ("floor.example", "*")


def test_secrets_are_not_shown() -> None:
    read = Settings.model_validate({"token": {"secret": SECRET}, "broker": {"password": "hunter2hunter2"}})
    assert SECRET not in repr(read)
    assert "hunter2" not in repr(read)


def test_environment_variables_of_the_commands_are_no_settings(tmp_path: Path) -> None:
    path = write(tmp_path, f'[token]\nsecret = "{SECRET}"\n')
    environment = {"FLOOR_TOKEN": "a.b.c", "FLOOR_CONFIG": str(path), "FLOOR_URL": "ws://127.0.0.1:8080/ws"}
    assert load_settings(path, environment) == load_settings(path, {})


def test_a_missing_section_is_named_with_the_variable_that_needs_it(tmp_path: Path) -> None:
    path = write(tmp_path, 'token = "x"\n')
    with pytest.raises(
        SettingsError, match="FLOOR_TOKEN__SECRET: `token` is a value in the settings file, not a section"
    ):
        load_settings(path, {"FLOOR_TOKEN__SECRET": SECRET})


def test_a_front_connects_as_its_own_user_where_it_has_one() -> None:
    shared = BrokerSettings(username="bridge", password=SecretStr("b"))
    assert shared.as_front() == shared
    own = BrokerSettings(username="bridge", password=SecretStr("b"), front_username="front", front_password=None)
    assert (own.as_front().username, own.as_front().password) == ("front", None)


@pytest.mark.parametrize("other", ["username", "front_username"])
def test_the_canary_is_a_user_of_its_own(other: str) -> None:
    with pytest.raises(ValueError, match="canary_username must be a user of its own"):
        BrokerSettings.model_validate({other: "bridge", "canary_username": "bridge"})


def test_neither_the_canary_nor_a_stranger_has_the_certificate_of_the_bridge() -> None:
    bridge = BrokerSettings(username="bridge", password=SecretStr("x"), cert_file=Path("b.crt"), key_file=Path("b.key"))
    for other in (bridge.as_canary(), bridge.as_stranger(8883)):
        assert (other.username, other.password, other.cert_file, other.key_file) == (None, None, None, None)
    identity = {"canary_username": "_canary", "canary_cert_file": Path("c.crt"), "canary_key_file": Path("c.key")}
    canary = bridge.model_copy(update={**identity, "canary_port": 8885}).as_canary()
    assert (canary.username, canary.cert_file, canary.key_file, canary.port) == (*identity.values(), 8885)
