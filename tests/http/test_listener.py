"""The listening socket: errors that name the address."""

import pytest

from bridge.http.listener import ListenError, WebPortInUse, listen


def test_a_taken_port_is_named() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(WebPortInUse, match=f"port {port} on 127.0.0.1 is in use: .* set web.port ") as caught:
            listen("127.0.0.1", port)
        with pytest.raises(WebPortInUse, match=r"set web.metrics_port \(FLOOR_WEB__METRICS_PORT\)"):
            listen("127.0.0.1", port, setting="metrics_port")
    assert caught.value.port == port


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.1 port"):
        listen("192.0.2.1", 0)
