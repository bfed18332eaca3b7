"""Meaning of a topic filter as a regular expression, without any code of the bridge."""

import re


def oracle(topic_filter: str) -> re.Pattern[str]:
    """The filter as a regular expression over the name's text; shares no code and no shape with TopicFilter."""
    guard = r"(?!\$)" if topic_filter[0] in "+#" else ""
    head, hash_, _ = topic_filter.partition("#")
    body = re.escape(head.removesuffix("/") if head != "/" else "").replace(r"\+", "[^/]*")
    if not hash_:
        return re.compile(guard + re.escape(head).replace(r"\+", "[^/]*"), re.DOTALL)
    return re.compile(guard + (".*" if not head else body + "(/.*)?"), re.DOTALL)
