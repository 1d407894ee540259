"""The simulated BitMEX, Deribit, Bitfinex and Kraken Futures: what they acknowledge, refuse, repeat, and keep back."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from liqwatch.events import Side
from liqwatch.simulator.dialects import dialect, standard
from liqwatch.simulator.dialects.base import Conversation, Dialect, HangUp
from liqwatch.simulator.orders import Entry, Order, entry
from liqwatch.simulator.past import Past
from liqwatch.simulator.trouble import Trouble

NOW_MS = 1_800_000_000_000


class Venue:
    """A simulated venue without its servers."""

    def __init__(self, name: str, path: str) -> None:
        self.listings = {listing.symbol: listing for listing in standard(name)}
        self.trouble, self.past, self.path = Trouble(), Past(), path
        self.dialect: Dialect = dialect(name, self.listings, self.trouble, self.past)
        self.name = name

    def socket(self, path: str | None = None) -> Conversation:
        conversation = self.dialect.connect(path or self.path, {})
        assert conversation is not None
        return conversation

    def entry(self, symbol: str, number: int, side: Side = "long", price: str = "100000", after_ms: int = 0) -> Entry:
        order = Order(0, self.name, symbol, side, Decimal(price), Decimal("0.5"))
        return entry(self.listings[symbol], order, NOW_MS + after_ms, number)

    def rest(self, path: str, **query: object) -> Any:
        answer = self.dialect.rest(path, {name: str(value) for name, value in query.items()})
        assert answer is not None
        return answer.body


def told(frames: Sequence[str | bytes]) -> list[Any]:
    return [frame if frame == "pong" else json.loads(frame) for frame in frames]


def say(conversation: Conversation, message: object) -> list[Any]:
    return told(conversation.receive(message if isinstance(message, str) else json.dumps(message), NOW_MS))


def test_bitmex_greets_answers_each_topic_with_an_image_and_pings_in_text() -> None:
    venue = Venue("bitmex", "/realtime")
    socket = venue.socket()
    request = {"op": "subscribe", "args": ["liquidation", "trade"]}

    greeting, yes, image, no = say(socket, request)

    assert "info" in greeting
    assert {"success": True, "subscribe": "liquidation", "request": request} == yes
    assert ("liquidation", "partial", []) == (image["table"], image["action"], image["data"])
    assert (400, request) == (no["status"], no["request"])
    assert ["pong"] == say(socket, "ping")
    assert "Unrecognized" in say(socket, {"op": "help"})[0]["error"]
    assert venue.socket("/realtime?subscribe=liquidation").carries(venue.listings["XBTUSD"])


def test_bitmex_inserts_an_order_changes_it_and_deletes_it_and_never_says_when() -> None:
    venue = Venue("bitmex", "/realtime")
    socket = venue.socket()
    say(socket, {"op": "subscribe", "args": "liquidation"})

    frames = told(socket.push([venue.entry("XBTUSD", 3, "short")], NOW_MS))

    assert ["insert", "update", "update", "delete"] == [frame["action"] for frame in frames]
    rows = [frame["data"][0] for frame in frames]
    assert 1 == len({row["orderID"] for row in rows})
    assert ("Buy", 100000.0, 50000) == (rows[0]["side"], rows[0]["price"], rows[0]["leavesQty"])
    assert all("side" not in row and "timestamp" not in row for row in rows[1:])


def test_bitmex_lists_what_a_contract_is_in_units_of_its_settlement() -> None:
    listed = {row["symbol"]: row for row in Venue("bitmex", "/realtime").rest("/api/v1/instrument/active")}

    inverse, linear, quanto = (listed[name] for name in ("XBTUSD", "XBTUSDT", "ETHUSD"))
    assert (-100_000_000, "XBt", True) == (inverse["multiplier"], inverse["settlCurrency"], inverse["isInverse"])
    assert (1, 1_000_000) == (linear["multiplier"], linear["underlyingToPositionMultiplier"])
    assert (100, "XBt", True) == (quanto["multiplier"], quanto["settlCurrency"], quanto["isQuanto"])


def test_deribit_leaves_an_unknown_channel_out_without_an_error() -> None:
    socket = Venue("deribit", "/ws/api/v2").socket()
    channels = ["trades.future.any.100ms", "trades.nothing"]

    (answer,) = say(socket, {"id": 5, "method": "public/subscribe", "params": {"channels": channels}})

    assert (5, channels[:1]) == (answer["id"], answer["result"])


def test_deribit_hangs_up_on_a_client_that_does_not_answer_its_test() -> None:
    socket = Venue("deribit", "/ws/api/v2").socket()
    say(socket, {"id": 1, "method": "public/set_heartbeat", "params": {"interval": 10}})

    beats = [told(socket.second(NOW_MS)) for _ in range(10)]
    assert [[]] * 9 == beats[:9]
    assert {"type": "test_request"} == beats[9][-1]["params"]
    say(socket, {"id": 2, "method": "public/test", "params": {}})
    for _ in range(19):
        socket.second(NOW_MS)
    with pytest.raises(HangUp):
        socket.second(NOW_MS)


def test_deribit_flags_the_taker_or_the_maker_who_traded_the_other_way() -> None:
    venue = Venue("deribit", "/ws/api/v2")

    (frame,) = told(venue.socket().push([venue.entry("BTC-PERPETUAL", 1), venue.entry("BTC-PERPETUAL", 3)], NOW_MS))

    flagged = [row for row in frame["params"]["data"] if "liquidation" in row]
    assert [("sell", "T"), ("buy", "M")] == [(row["direction"], row["liquidation"]) for row in flagged]


def test_deribit_keeps_the_flag_back_if_told_to_and_gives_it_in_the_history_later() -> None:
    venue = Venue("deribit", "/ws/api/v2")
    venue.trouble.late_flags_ms = 3_600_000
    place, query = "/api/v2/public/get_last_trades_by_currency_and_time", {"currency": "BTC", "count": 1000}
    span = {"start_timestamp": NOW_MS - 1, "end_timestamp": NOW_MS + 1}
    early = venue.entry("BTC-PERPETUAL", 1)
    venue.past.add([early])

    assert "liquidation" not in str(told(venue.socket().push([early], NOW_MS)))
    assert "liquidation" not in str(venue.rest(place, **query, **span))
    venue.past.add([venue.entry("BTC-PERPETUAL", 2, after_ms=3_600_000)])
    rows = venue.rest(place, **query, **span)["result"]["trades"]
    assert ["T", None] == [row.get("liquidation") for row in rows]


def test_deribit_says_when_there_is_more_of_the_past() -> None:
    venue = Venue("deribit", "/ws/api/v2")
    venue.past.add([venue.entry("ETH-PERPETUAL", number, after_ms=number) for number in range(4)])
    query = {"currency": "ETH", "start_timestamp": NOW_MS, "end_timestamp": NOW_MS + 10, "count": 5}

    result = venue.rest("/api/v2/public/get_last_trades_by_currency_and_time", **query)["result"]

    assert (True, 5, NOW_MS + 3) == (result["has_more"], len(result["trades"]), result["trades"][0]["timestamp"])


def test_bitfinex_numbers_channels_anew_and_repeats_the_last_event() -> None:
    venue = Venue("bitfinex", "/ws/2")
    subscribe = {"event": "subscribe", "channel": "status", "key": "liq:global"}
    greeting, first = say(venue.socket(), subscribe)
    assert ({"status": 1}, "subscribed") == (greeting["platform"], first["event"])
    venue.past.add([venue.entry("tBTCF0:USTF0", 1)])
    socket = venue.socket()

    _, second, (number, (row,)) = say(socket, subscribe)

    assert first["chanId"] != second["chanId"] == number
    assert ("tBTCF0:USTF0", 1) == (row[4], row[8])
    assert 10301 == say(socket, subscribe)[0]["code"]
    assert 10300 == say(socket, {**subscribe, "key": "deriv:tNONE"})[0]["code"]
    beats = [told(socket.second(NOW_MS)) for _ in range(15)]
    assert [[]] * 14 + [[[number, "hb"]]] == beats


def test_bitfinex_tells_a_trigger_of_the_whole_size_beside_what_was_executed() -> None:
    venue = Venue("bitfinex", "/ws/2")
    socket = venue.socket()
    say(socket, {"event": "subscribe", "channel": "status", "key": "liq:global"})

    (_, (trigger,)), (_, executed) = told(socket.push([venue.entry("tBTCF0:USTF0", 1, "short")], NOW_MS))

    assert (-1.0, 0, None) == (trigger[5], trigger[8], trigger[11])
    assert (-0.5, 1, 100000.0) == (executed[5], executed[8], executed[11])
    assert executed[6] != executed[11]  # the price of the entry is another one


def test_kraken_answers_for_each_product_and_brings_its_last_trades() -> None:
    venue = Venue("kraken_futures", "/ws/v1")
    venue.past.add([venue.entry("PF_XBTUSD", 1)])

    greeting, yes, snapshot, no = say(
        venue.socket(), {"event": "subscribe", "feed": "trade", "product_ids": ["PF_XBTUSD", "PF_NONEUSD"]}
    )

    assert {"event": "info", "version": 1} == greeting
    assert {"event": "subscribed", "feed": "trade", "product_ids": ["PF_XBTUSD"]} == yes
    assert ["liquidation", "fill"] == [trade["type"] for trade in snapshot["trades"]]
    assert {"event": "alert", "message": "Couldn't subscribe to invalid product `PF_NONEUSD`"} == no


def test_kraken_lists_a_hundred_trades_before_a_time() -> None:
    venue = Venue("kraken_futures", "/ws/v1")
    venue.past.add([venue.entry("PI_XBTUSD", number, after_ms=number * 10) for number in range(60)])
    place = "/derivatives/api/v3/history"

    latest = venue.rest(place, symbol="pi_xbtusd")["history"]
    older = venue.rest(place, symbol="PI_XBTUSD", lastTime=latest[-1]["time"])["history"]

    assert (100, 20) == (len(latest), len(older))
    assert 120 == len({trade["uid"] for trade in latest + older})
    assert older[0]["time"] < latest[-1]["time"] < latest[0]["time"]
    assert "error" == venue.rest(place, symbol="PF_NONEUSD")["result"]
