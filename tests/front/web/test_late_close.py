"""Close code of a connection whose client was not reading: the client receives it when it reads on."""

from pathlib import Path

from bridge.settings.web import WebSettings
from tests.support.brokers import until
from tests.support.front_server import call, served_front
from tests.support.socket_dashboard import dashboard


async def test_a_dashboard_that_reads_late_receives_the_close_code(tmp_path: Path) -> None:
    settings = WebSettings(stall_seconds=0.3, max_frames_per_second=1_000)
    async with served_front(tmp_path, settings) as served:
        # More than fits between the two ends; unread from here on.
        served.commit(*(call(f"L1.call.{n}", description="x" * 2_000) for n in range(2_000)))
        async with dashboard(served.port, narrow=True) as board:
            await board.ask("subscribe", "subscription_confirmed", subscription_type="andon")
            # The front has disconnected, and forgotten it.
            await until(lambda: served.front.statistics()["connections"] == 0, what="the front is done with it")
            assert (await board.closed())[0] == 4008
