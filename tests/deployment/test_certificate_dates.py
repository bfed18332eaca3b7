"""Certificates of devices by their dates: the shipped Mosquitto admits those that are valid now, and no others."""

import subprocess
from pathlib import Path

from bridge.mqtt.link import BrokerLink
from tests.deployment.broker_users import assert_never_up
from tests.support.brokers import linked, running
from tests.support.shipped_mosquitto import DEVICE_B, ShippedMosquitto, shipped_mosquitto

VALID = ("20200101000000Z", "20490101000000Z")
EXPIRED = ("20200101000000Z", "20200201000000Z")
NOT_YET = ("20480101000000Z", "20490101000000Z")


def certified(shipped: ShippedMosquitto, dates: tuple[str, str]) -> BrokerLink:
    """Return a link of a device, whose certificate the development authority issues for this time."""
    key, request, certificate = (f"{dates[0]}-{dates[1]}.{suffix}" for suffix in ("key", "csr", "crt"))
    subject = "/CN=" + DEVICE_B.replace("/", r"\/")
    config = ("-config", "authority/openssl.cnf")
    for command in (
        ("req", "-new", *config, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
         "-subj", subject, "-out", request),
        ("ca", "-batch", "-notext", *config, "-extensions", "client", "-startdate", dates[0], "-enddate", dates[1],
         "-in", request, "-out", certificate),
    ):  # fmt: skip
        subprocess.run(["openssl", *command], cwd=shipped.secrets, check=True, capture_output=True)
    files = {"cert_file": shipped.secrets / certificate, "key_file": shipped.secrets / key}
    return BrokerLink(shipped.settings("certificates", **files), client_id="dated", durable=False)


async def test_only_certificates_that_are_valid_now_get_in(tmp_path: Path) -> None:
    shipped = shipped_mosquitto(tmp_path)
    with running(shipped.broker):
        async with linked(certified(shipped, VALID)):
            pass
        await assert_never_up(certified(shipped, EXPIRED))
        await assert_never_up(certified(shipped, NOT_YET))
