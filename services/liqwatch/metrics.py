"""Every metric, in one place: one class per service, the registry an argument, every label set starting at zero."""

import platform
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from . import __version__
from .events import SIDES, Reason

_LATENCY = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
RECONNECT_REASONS = (
    "closed", "refused", "unreachable", "silent", "control_silent", "rejected_frames", "planned", "throttled", "error",
)  # fmt: skip
STATES = ("connecting", "connected", "acknowledged", "delivering", "refused", "silent", "down")
WEB_ROUTES = (
    "page", "static", "totals", "bars", "events", "incidents", "venues", "silences", "openapi.json", "stream",
)  # fmt: skip
NO_PICTURE = ("none", "failed", "late", "dropped")
OUTCOMES = ("accepted", "not_sent", "refused", "unknown")


class ServiceMetrics:
    """What every service shows. A rise of loop lag means the process cannot keep up."""

    def __init__(self, registry: CollectorRegistry, service: str) -> None:
        self.registry = registry
        Info("liqwatch_build", "Version of the running program.", registry=registry).info(
            {"version": __version__, "python": platform.python_version(), "service": service}
        )
        self.loop_lag = Histogram(
            "liqwatch_loop_lag_seconds", "How late the event loop woke up; a rise means it is overloaded or blocked.",
            buckets=_LATENCY, registry=registry,
        )  # fmt: skip
        self.ready = Gauge(
            "liqwatch_ready", "1 while the service does its work; /readyz says in words why it does not.",
            registry=registry,
        )  # fmt: skip
        self.log_up = Gauge("liqwatch_log_up", "1 while the log (Kafka or SQLite) can be used.", registry=registry)
        self.offset_gap = Counter(
            "liqwatch_offset_gap_records_total", "Records that retention removed before this service read them.",
            registry=registry,
        )  # fmt: skip
        self.unreadable = Counter(
            "liqwatch_records_unreadable_total", "Records of the log that could not be read.", registry=registry
        )
        self.config_reload_successful = Gauge(
            "liqwatch_config_last_reload_successful",
            "1 if the last reading of the settings succeeded.",
            registry=registry,
        )
        self.config_reload_time = Gauge(
            "liqwatch_config_last_reload_success_timestamp_seconds", "When the settings were last read with success.",
            registry=registry,
        )  # fmt: skip
        self.config_hash = Gauge(
            "liqwatch_config_hash", "Changes when the settings in force change.", registry=registry
        )
        self.config_reload_successful.set(1)
        self.config_reload_time.set_to_current_time()


class CollectorMetrics:
    """Feeds: alive, how late, how much, what was not counted."""

    def __init__(
        self, registry: CollectorRegistry, venues: Iterable[str], windows: Iterable[str] = ("5m", "1h", "24h")
    ) -> None:
        venues, windows = tuple(venues), tuple(windows)
        self.connected = Gauge(
            "liqwatch_feed_connected", "1 while every socket of the venue is connected and acknowledged.", ["venue"],
            registry=registry,
        )  # fmt: skip
        self.state = Gauge(
            "liqwatch_feed_state", "1 for the venue's present state.", ["venue", "state"], registry=registry
        )
        self.last_frame = Gauge(
            "liqwatch_feed_last_frame_timestamp_seconds",
            "When the last frame of any kind came.",
            ["venue"],
            registry=registry,
        )
        self.last_event = Gauge(
            "liqwatch_feed_last_event_timestamp_seconds",
            "When the last liquidation came.",
            ["venue"],
            registry=registry,
        )
        self.reconnects = Counter(
            "liqwatch_feed_reconnects_total", "Sockets that ended, by reason; anything but planned is trouble.",
            ["venue", "reason"], registry=registry,
        )  # fmt: skip
        self.gap = Counter(
            "liqwatch_feed_gap_seconds_total", "Seconds in which the venue was not watched since this service started.",
            ["venue"], registry=registry,
        )  # fmt: skip
        self.events = Counter("liqwatch_events_total", "Liquidations received.", ["venue", "side"], registry=registry)
        self.rejected = Counter(
            "liqwatch_events_rejected_total", "Frames and rows not counted, by reason; see rejected-frames.",
            ["venue", "reason"], registry=registry,
        )  # fmt: skip
        self.refused = Counter(
            "liqwatch_feed_refused_total",
            "Subscriptions that the venue refused.",
            ["venue"],
            registry=registry,
        )
        self.latency = Histogram(
            "liqwatch_event_latency_seconds", "Venue's time to arrival here; a sample in bursts.", ["venue"],
            buckets=_LATENCY, registry=registry,
        )  # fmt: skip
        self.instruments = Gauge("liqwatch_instruments", "Instruments known.", ["venue"], registry=registry)
        self.instrument_failures = Counter(
            "liqwatch_instrument_refresh_failures_total", "Instrument lists that could not be read.", ["venue"],
            registry=registry,
        )  # fmt: skip
        self.backlog = Gauge(
            "liqwatch_backlog_events", "Events held in memory until the log takes them.", registry=registry
        )
        self.spooled = Gauge(
            "liqwatch_spool_bytes",
            "Size of the spool on disk; above zero in an outage of the log.",
            registry=registry,
        )
        self.lost = Counter(
            "liqwatch_events_lost_total", "Events that neither the log nor memory nor spool could take.", ["venue"],
            registry=registry,
        )  # fmt: skip
        self.filled = Counter(
            "liqwatch_feed_filled_events_total", "Events of gaps, read later from the venue's own list.", ["venue"],
            registry=registry,
        )  # fmt: skip
        self.missed = Counter(
            "liqwatch_feed_missed_events_total",
            "Events that the venue's own list has and its stream did not bring while it was watched; filled in.",
            ["venue"],
            registry=registry,
        )
        self.history_failures = Counter(
            "liqwatch_history_failures_total", "Readings of a venue's own list that failed.", ["venue"],
            registry=registry,
        )  # fmt: skip
        self.coverage = Gauge(
            "liqwatch_coverage_ratio", "Share of the window in which any collector watched the venue, or filled it.",
            ["venue", "window"], registry=registry,
        )  # fmt: skip
        self.gaps = Gauge(
            "liqwatch_coverage_gaps", "Gaps of the longest window that were not filled.", ["venue"], registry=registry
        )
        self.silent_in_cascade = Gauge(
            "liqwatch_feed_silent_in_cascade",
            "1 while nothing comes from the venue though the others cascade: its feed is dead, not quiet.",
            ["venue"],
            registry=registry,
        )
        self.sides_disagree = Gauge(
            "liqwatch_feed_sides_disagree", "1 while the venue's sides have disagreed with its prices for an hour.",
            ["venue"], registry=registry,
        )  # fmt: skip
        for venue in venues:
            for gauge in (self.silent_in_cascade, self.sides_disagree):
                gauge.labels(venue).set(0)
            for gauge in (self.connected, self.last_frame, self.last_event, self.instruments, self.gaps):
                gauge.labels(venue).set(0)
            for counter in (self.gap, self.refused, self.lost, self.instrument_failures):
                counter.labels(venue)
            for counter in (self.filled, self.missed, self.history_failures):
                counter.labels(venue)
            for window in windows:
                self.coverage.labels(venue, window).set(0)
            self.latency.labels(venue)
            for state in STATES:
                self.state.labels(venue, state).set(0)
            for reason in RECONNECT_REASONS:
                self.reconnects.labels(venue, reason)
            for side in SIDES:
                self.events.labels(venue, side)
            for cause in Reason:
                self.rejected.labels(venue, cause.value)


class AggregatorMetrics:
    """The window: what came in, what was not added and why, how far behind."""

    def __init__(self, registry: CollectorRegistry, windows: Iterable[str]) -> None:
        self.counted = Counter("liqwatch_aggregator_events_total", "Events added to the window.", registry=registry)
        self.duplicates = Counter(
            "liqwatch_events_duplicate_total", "Events whose id was known already.", registry=registry
        )
        self.late = Counter("liqwatch_events_late_total", "Events older than the longest window.", registry=registry)
        self.future = Counter(
            "liqwatch_events_future_total", "Events more than a minute in the future.", registry=registry
        )
        self.pipeline_latency = Histogram(
            "liqwatch_pipeline_latency_seconds",
            "Frame received to total published.",
            buckets=_LATENCY,
            registry=registry,
        )
        self.window_usd = Gauge(
            "liqwatch_window_notional_usd", "Rolling USD of the partitions this service owns; venue `all` is the sum.",
            ["window", "side", "venue"], registry=registry,
        )  # fmt: skip
        self.coin_usd = Gauge(
            "liqwatch_window_coin_notional_usd",
            "Rolling USD of the partitions this service owns, of the largest coins; base `other` is the rest.",
            ["window", "side", "base"], registry=registry,
        )  # fmt: skip
        self.window_events = Gauge(
            "liqwatch_window_events", "Rolling number of records of the partitions owned.", ["window", "side"],
            registry=registry,
        )  # fmt: skip
        self.lag = Gauge(
            "liqwatch_kafka_consumer_lag_records",
            "Records of liquidations not yet read.",
            ["partition"],
            registry=registry,
        )
        self.owned = Gauge(
            "liqwatch_partitions_owned", "Partitions of liquidations this service holds.", registry=registry
        )
        self.rebuilding = Gauge(
            "liqwatch_partitions_rebuilding", "Held partitions not yet caught up.", registry=registry
        )
        for window in windows:
            for side in SIDES:
                self.window_usd.labels(window, side, "all").set(0)
                self.coin_usd.labels(window, side, "other").set(0)
                self.window_events.labels(window, side).set(0)


class AlerterMetrics:
    """Incidents and their delivery."""

    def __init__(self, registry: CollectorRegistry, targets: Iterable[str], rules: Iterable[str]) -> None:
        self.active = Gauge("liqwatch_alerter_active", "1 if this alerter acts, 0 if it stands by.", registry=registry)
        self.open = Gauge("liqwatch_incidents_open", "Open incidents.", ["rule"], registry=registry)
        self.history = Gauge(
            "liqwatch_rule_history_days",
            "Days of the last 30 that a rule relative to its past can compare with; under 14 it does not fire.",
            ["rule"], registry=registry,
        )  # fmt: skip
        self.steps = Counter("liqwatch_incident_steps_total", "Steps told, by kind.", ["kind"], registry=registry)
        self.stale = Gauge(
            "liqwatch_totals_stale",
            "1 while sums are stale: nothing fires and nothing clears.",
            registry=registry,
        )
        self.outbox_pending = Gauge(
            "liqwatch_outbox_pending",
            "Notifications decided and not yet delivered.",
            ["destination"],
            registry=registry,
        )
        self.outbox_oldest = Gauge(
            "liqwatch_outbox_oldest_seconds", "Age of the oldest undelivered notification.", registry=registry
        )
        self.notifications = Counter(
            "liqwatch_notifications_total",
            "Delivery attempts by outcome; held: unknown for good, not to be looked up nor sent again.",
            ["destination", "outcome"],
            registry=registry,
        )
        self.repeats = Counter(
            "liqwatch_notifications_repeated_total", "Resent after an unknown outcome, marked as a repeat.",
            ["destination"], registry=registry,
        )  # fmt: skip
        self.notification_latency = Histogram(
            "liqwatch_notification_latency_seconds", "Decision to delivery.", ["destination"], buckets=_LATENCY,
            registry=registry,
        )  # fmt: skip
        self.edits = Counter(
            "liqwatch_message_edits_total", "Messages written anew while their incident grew.",
            ["destination", "outcome"], registry=registry,
        )  # fmt: skip
        self.summaries = Counter(
            "liqwatch_incident_summaries_total",
            "Edits of the first message of an incident that is over, so that it says how it went; `given_up`: it does "
            "not, after hours of trying.",
            ["destination", "outcome"],
            registry=registry,
        )
        self.left_behind = Counter(
            "liqwatch_messages_left_behind_total",
            "First messages of open incidents that stay as they are, in a chat that their target leads to no more.",
            ["destination"], registry=registry,
        )  # fmt: skip
        self.pictures = Counter(
            "liqwatch_pictures_total",
            "Pictures that were to follow a message. none: nothing to draw; failed: not drawn; late: not in time; "
            "dropped: too many waited.",
            ["destination", "outcome"],
            registry=registry,
        )
        self.template_failures = Counter(
            "liqwatch_template_failures_total",
            "Steps told in the long form, because the template of their target's form failed; the log says why.",
            ["form"],
            registry=registry,
        )
        self.untold = Counter(
            "liqwatch_steps_untold_total", "Steps for which no target is switched on: nobody was told.",
            registry=registry,
        )  # fmt: skip
        self.silences = Gauge("liqwatch_silences_active", "Silences in force.", registry=registry)
        self.held_back = Counter(
            "liqwatch_steps_held_back_total", "Steps that nobody was told, by cause.", ["cause"], registry=registry
        )
        for cause in ("silence", "inhibition", "quiet hours"):
            self.held_back.labels(cause)
        self.records_cut = Counter(
            "liqwatch_incident_records_cut_total", "Records of incidents too large for the log: old parts left out.",
            registry=registry,
        )  # fmt: skip
        for kind in ("fired", "stepped_up", "reminded", "cleared"):
            self.steps.labels(kind)
        for rule in rules:
            self.open.labels(rule).set(0)
        for target in targets:
            self.outbox_pending.labels(target).set(0)
            self.repeats.labels(target)
            self.left_behind.labels(target)
            self.notification_latency.labels(target)
            self.notifications.labels(target, "held")
            for outcome in OUTCOMES:
                self.notifications.labels(target, outcome)
                self.edits.labels(target, outcome)
            for outcome in (*OUTCOMES, "given_up"):
                self.summaries.labels(target, outcome)
            for outcome in (*OUTCOMES, *NO_PICTURE):
                self.pictures.labels(target, outcome)


class WebMetrics:
    """The live page and its API: how much is asked, who is watching, how fresh is what they see."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "liqwatch_web_requests_total", "Requests answered, by route and class of status; 5xx is trouble.",
            ["route", "status"], registry=registry,
        )  # fmt: skip
        self.viewers = Gauge("liqwatch_web_viewers", "Pages connected to the stream.", registry=registry)
        self.stream_lag = Histogram(
            "liqwatch_web_stream_lag_seconds", "From a total's own time to the update that tells it to the pages.",
            buckets=_LATENCY, registry=registry,
        )  # fmt: skip
        self.resyncs = Counter(
            "liqwatch_web_resyncs_total",
            "Viewers that fell behind and were sent everything anew.",
            registry=registry,
        )
        self.unreadable = Counter(
            "liqwatch_web_records_unreadable_total",
            "Records of the log that the page could not read.",
            registry=registry,
        )
        for route in WEB_ROUTES:
            self.requests.labels(route, "2xx")
