"""What the dashboard shows: rows of panels, each with its queries and the sentence that says how to read it."""

from liqwatch.metrics import STATES

from .panels import Panel, Query, Row, quantiles, rate, rise, series

WINDOW_USD = "liqwatch_window_notional_usd"
VENUE = "~$venue"
GOOD, WARN, BAD = "green", "orange", "red"


def _state_number() -> str:
    terms = [
        f"sum by (venue, instance) ({series('liqwatch_feed_state', venue=VENUE, state=state)}) * {number}"
        for number, state in enumerate(STATES, 1)
    ]
    return " + ".join(terms)


def _age(timestamp: str) -> Query:
    return Query(f"time() - max by (venue) ({series(timestamp, venue=VENUE)} > 0)", "{{venue}}")


_STATE_COLOURS = {"delivering": GOOD, "acknowledged": "light-green", "connected": "yellow", "connecting": "yellow"}
_STATE_WORDS = tuple((number, state, _STATE_COLOURS.get(state, BAD)) for number, state in enumerate(STATES, 1))


def _side_now(side: str) -> Panel:
    return Panel(
        f"{side.capitalize()}s closed by force, $window",
        f"Rolling USD of {side} positions closed by force in the window chosen above, all venues. "
        "Sampled feeds make it a floor.",
        "currencyUSD",
        (Query(f"sum({series(WINDOW_USD, window='$window', side=side, venue='all')})", side),),
        "number",
        5,
        4,
    )


NOW = Row(
    "Now",
    (
        _side_now("long"),
        _side_now("short"),
        Panel(
            "Open incidents",
            "Rules whose threshold is crossed and not yet cleared.",
            "short",
            (Query(f"sum({series('liqwatch_incidents_open')})", "open"),),
            "number",
            3,
            4,
            steps=((1, WARN),),
        ),
        Panel(
            "Venues delivering",
            "Venues with every socket connected and acknowledged, as a share of those collected.",
            "percentunit",
            (Query(f"avg(max by (venue) ({series('liqwatch_feed_connected')}))", "connected"),),
            "number",
            3,
            4,
            steps=((0.999, GOOD),),
        ),
        Panel(
            "Totals stale",
            "1 while a partition's owner has been silent for 5 s: nothing fires and nothing clears.",
            "short",
            (Query(f"max({series('liqwatch_totals_stale')})", "stale"),),
            "number",
            3,
            4,
            steps=((1, BAD),),
            words=((0, "fresh", GOOD), (1, "STALE", BAD)),
        ),
        Panel(
            "Undelivered",
            "Notifications decided and not yet accepted by their chat.",
            "short",
            (Query(f"sum({series('liqwatch_outbox_pending')})", "pending"),),
            "number",
            3,
            4,
            steps=((1, WARN),),
        ),
        Panel(
            "Log",
            "1 while every service can use the log (Kafka or SQLite).",
            "short",
            (Query(f"min({series('liqwatch_log_up')})", "up"),),
            "number",
            2,
            4,
            words=((0, "DOWN", BAD), (1, "up", GOOD)),
        ),
    ),
)

TOTALS = (
    Panel(
        "By window: longs",
        "Rolling USD of longs closed by force, each window. A short one that nears a long one: a crash is on.",
        "currencyUSD",
        (Query(f"sum by (window) ({series(WINDOW_USD, side='long', venue='all')})", "{{window}}"),),
        width=12,
    ),
    Panel(
        "By window: shorts",
        "Rolling USD of shorts closed by force, each window.",
        "currencyUSD",
        (Query(f"sum by (window) ({series(WINDOW_USD, side='short', venue='all')})", "{{window}}"),),
        width=12,
    ),
    Panel(
        "By venue: longs, $window",
        "Where the longs of the window were closed. Compare with the venue's completeness before ranking venues.",
        "currencyUSD",
        (
            Query(
                f"sum by (venue) ({series(WINDOW_USD, window='$window', side='long', venue='~$venue')})",
                "{{venue}}",
            ),
        ),
        "area",
        12,
    ),
    Panel(
        "By venue: shorts, $window",
        "Where the shorts of the window were closed.",
        "currencyUSD",
        (
            Query(
                f"sum by (venue) ({series(WINDOW_USD, window='$window', side='short', venue='~$venue')})",
                "{{venue}}",
            ),
        ),
        "area",
        12,
    ),
    Panel(
        "Records in the window, $window",
        "Number of orders and fills in the window, by the side of the position.",
        "short",
        (Query(f"sum by (side) ({series('liqwatch_window_events', window='$window')})", "{{side}}"),),
        width=12,
    ),
    Panel(
        "Liquidations per second, by venue",
        "What arrives now. A venue that falls to nothing while the others rise deserves a look at its feed.",
        "cps",
        (Query(f"sum by (venue) ({rate('liqwatch_events_total', venue=VENUE)})", "{{venue}}"),),
        width=12,
    ),
)


def _coins(side: str) -> Panel:
    return Panel(
        f"By coin: {side}s, $window",
        f"The coins with most {side}s of the window; `other` is all the rest. With several aggregators each names the "
        "largest of its partitions.",
        "currencyUSD",
        (
            Query(
                f"sum by (base) ({series('liqwatch_window_coin_notional_usd', window='$window', side=side)})",
                "{{base}}",
            ),
        ),
        "area",
        12,
    )


COINS = Row("Coins", (_coins("long"), _coins("short")))

FEEDS = Row(
    "Feeds",
    (
        Panel(
            "State of each feed",
            "delivering: subscribed, and data or its ticking channel has come. acknowledged: subscribed, nothing yet. "
            "silent: it answers pings and sends nothing. refused: the venue said no.",
            "short",
            (Query(_state_number(), "{{venue}} {{instance}}"),),
            "states",
            24,
            words=_STATE_WORDS,
        ),
        Panel(
            "Watched",
            "Share of each moment in which any collector had the whole venue. Green: all of it. What is not green is a "
            "gap: totals over it are a floor, unless it was filled from the venue's own list.",
            "percentunit",
            (
                Query(
                    f"max by (venue) (avg_over_time({series('liqwatch_feed_connected', venue=VENUE)}"
                    "[$__rate_interval]))",
                    "{{venue}}",
                ),
            ),
            "strip",
            24,
            steps=((0.01, WARN), (0.999, GOOD)),
            most=1,
        ),
        Panel(
            "Since the last frame",
            "Seconds since anything at all came. Past the venue's limit the socket is closed and opened again.",
            "s",
            (_age("liqwatch_feed_last_frame_timestamp_seconds"),),
        ),
        Panel(
            "Since the last liquidation",
            "A quiet market and a dead feed look the same here; the state above and the other venues tell them apart.",
            "s",
            (_age("liqwatch_feed_last_event_timestamp_seconds"),),
        ),
        Panel(
            "Share of time not watched",
            "Seconds per second in which a feed of the venue was down. Totals of that time are a floor.",
            "percentunit",
            (Query(f"max by (venue) ({rate('liqwatch_feed_gap_seconds_total', venue=VENUE)})", "{{venue}}"),),
            most=1,
        ),
        Panel(
            "Share of the window watched",
            "By any collector, or filled later from the venue's own list, in the window chosen above. Below 100 % the "
            "totals of the venue are a floor.",
            "percentunit",
            (
                Query(
                    f"max by (venue) ({series('liqwatch_coverage_ratio', venue=VENUE, window='$window')})", "{{venue}}"
                ),
            ),
            most=1,
        ),
        Panel(
            "Gaps that were not filled",
            "In the longest window, the time before the venue was first watched included. The coverage topic has each "
            "with its reason.",
            "short",
            (Query(f"max by (venue) ({series('liqwatch_coverage_gaps', venue=VENUE)})", "{{venue}}"),),
        ),
        Panel(
            "Missed, filled, lists that failed",
            "missed: the venue's own list has them, its stream did not bring them while it was watched: the feed is "
            "not what it says. filled: they fell in a gap. Both are in the totals.",
            "short",
            (
                Query(rise("liqwatch_feed_missed_events_total", "venue", venue=VENUE), "{{venue}} missed"),
                Query(rise("liqwatch_feed_filled_events_total", "venue", venue=VENUE), "{{venue}} filled"),
                Query(rise("liqwatch_history_failures_total", "venue", venue=VENUE), "{{venue}} list failed"),
            ),
            "bars",
        ),
        Panel(
            "Feeds that do not ring true",
            "silent: nothing comes though the others cascade; it connects anew and counts as not watched. sides: most "
            "longs were closed while prices rose, or shorts while they fell, for an hour: the venue may have changed "
            "what its side means.",
            "short",
            (
                Query(f"max by (venue) ({series('liqwatch_feed_silent_in_cascade', venue=VENUE)})", "{{venue}} silent"),
                Query(f"max by (venue) ({series('liqwatch_feed_sides_disagree', venue=VENUE)})", "{{venue}} sides"),
            ),
        ),
        Panel(
            "Reconnects, by reason",
            "Sockets that ended. `planned` is the renewal ahead of the venue's own limit; any other is trouble.",
            "short",
            (Query(rise("liqwatch_feed_reconnects_total", "reason", venue=VENUE), "{{reason}}"),),
            "bars",
        ),
        Panel(
            "Refused subscriptions, unreadable lists",
            "Subscriptions that the venue said no to: a delisted symbol, or a change of its protocol. Lists of "
            "contracts that could not be read: what was known before stays in use.",
            "short",
            (
                Query(rise("liqwatch_feed_refused_total", "venue", venue=VENUE), "{{venue}} refused"),
                Query(rise("liqwatch_instrument_refresh_failures_total", "venue", venue=VENUE), "{{venue}} list"),
            ),
            "bars",
        ),
        Panel(
            "Instruments known",
            "Contracts in the venue's list. A fall means that its list has changed or could not be read in full.",
            "short",
            (
                Query(f"max by (venue) ({series('liqwatch_instruments', venue=VENUE)})", "{{venue}}"),
                Query(
                    rise("liqwatch_instrument_refresh_failures_total", "venue", venue=VENUE),
                    "{{venue}} unreadable lists",
                ),
            ),
        ),
    ),
)

LATENCY = Row(
    "How late, how much",
    (
        Panel(
            "Venue to us, by venue",
            "99th percentile from the venue's own time of the event to its arrival. Venues that batch are slower.",
            "s",
            (
                Query(
                    "histogram_quantile(0.99, sum by (le, venue) "
                    f"({rate('liqwatch_event_latency_seconds_bucket', venue=VENUE)}))",
                    "{{venue}}",
                ),
            ),
        ),
        Panel(
            "Venue to us, all together",
            "How many events took how long, over time. A band that rises is a line that fills up.",
            "s",
            (
                Query(
                    f"sum by (le) (increase({series('liqwatch_event_latency_seconds_bucket', venue=VENUE)}"
                    "[$__rate_interval]))",
                    "{{le}}",
                ),
            ),
            "heatmap",
        ),
        Panel(
            "Received, by side",
            "Liquidations a second from the venues chosen above, by the side of the position.",
            "cps",
            (Query(f"sum by (side) ({rate('liqwatch_events_total', venue=VENUE)})", "{{side}}"),),
        ),
    ),
)

NOT_COUNTED = Row(
    "Not counted",
    (
        Panel(
            "Rejected, by venue",
            "Frames and rows that could not be counted. Each is in the topic rejected-frames with its text and reason.",
            "short",
            (Query(rise("liqwatch_events_rejected_total", "venue", venue=VENUE), "{{venue}}"),),
            "bars",
        ),
        Panel(
            "Rejected, by reason",
            "`unknown_symbol` just after a listing is normal; `malformed`: the venue has changed its format. "
            "`implausible_price`, `implausible_size`, `contract_changed`: held back because it cannot be.",
            "short",
            (Query(rise("liqwatch_events_rejected_total", "reason", venue=VENUE), "{{reason}}"),),
            "bars",
        ),
        Panel(
            "Duplicate, late, from the future, unreadable, lost",
            "Duplicates are normal with two collectors or after a reconnect. Late and future events point at a clock. "
            "Lost: neither the log nor memory nor the spool could take them; coverage shows the gap.",
            "short",
            tuple(
                Query(f"sum(increase({series(name)}[$__rate_interval]))", legend)
                for name, legend in (
                    ("liqwatch_events_duplicate_total", "duplicate"),
                    ("liqwatch_events_late_total", "late"),
                    ("liqwatch_events_future_total", "future"),
                    ("liqwatch_records_unreadable_total", "unreadable"),
                    ("liqwatch_events_lost_total", "lost"),
                )
            ),
            "bars",
        ),
    ),
)

PIPELINE = Row(
    "Pipeline",
    (
        Panel(
            "Lag",
            "Records of liquidations that the aggregators have not read yet. It should return to zero within seconds.",
            "short",
            (Query(f"sum({series('liqwatch_kafka_consumer_lag_records')})", "records"),),
        ),
        Panel(
            "Partitions",
            "Held by the aggregators, and of these still being rebuilt from the log. Held has to be all of them.",
            "short",
            (
                Query(f"sum({series('liqwatch_partitions_owned')})", "held"),
                Query(f"sum({series('liqwatch_partitions_rebuilding')})", "rebuilding"),
            ),
        ),
        Panel(
            "Waiting for the log, in memory",
            "Events held until the log takes them: above zero for long only in its outage.",
            "short",
            (Query(f"sum by (job) ({series('liqwatch_backlog_events')})", "{{job}}"),),
        ),
        Panel(
            "Waiting for the log, on disk",
            "Bytes in the spool, which is used when memory is full. At its limit events are lost, and counted.",
            "bytes",
            (Query(f"sum by (job) ({series('liqwatch_spool_bytes')})", "{{job}}"),),
        ),
        Panel(
            "Frame to total",
            "From the arrival of a frame to the total that contains it.",
            "s",
            quantiles("liqwatch_pipeline_latency_seconds"),
        ),
        Panel(
            "Frame to total, spread",
            "How many events took how long, over time. Two bands: some of the work waits for something.",
            "s",
            (
                Query(
                    f"sum by (le) (increase({series('liqwatch_pipeline_latency_seconds_bucket')}[$__rate_interval]))",
                    "{{le}}",
                ),
            ),
            "heatmap",
        ),
        Panel(
            "Lateness of the event loop",
            "99th percentile of how late each process woke up. A rise means that it is overloaded or blocked.",
            "s",
            (
                Query(
                    f"histogram_quantile(0.99, sum by (le, job) ({rate('liqwatch_loop_lag_seconds_bucket')}))",
                    "{{job}}",
                ),
            ),
        ),
        Panel(
            "Added to the window",
            "Events per second that the aggregators count. While they rebuild it is far above what arrives.",
            "cps",
            (Query(f"sum by (job) ({rate('liqwatch_aggregator_events_total')})", "{{job}}"),),
        ),
        Panel(
            "Removed before it was read",
            "Records that retention took away before a service had read them: it was down, or behind, for too long.",
            "short",
            (Query(rise("liqwatch_offset_gap_records_total", "job"), "{{job}}"),),
            "bars",
        ),
    ),
)

ALERTS = Row(
    "Alerts",
    (
        Panel(
            "Open incidents, by rule",
            "Crossed and not yet cleared; a rule for each coin can have many.",
            "short",
            (Query(f"sum by (rule) ({series('liqwatch_incidents_open')})", "{{rule}}"),),
        ),
        Panel(
            "Told, by kind",
            "What the rules said: fired, stepped up, reminded, cleared.",
            "short",
            (Query(rise("liqwatch_incident_steps_total", "kind"), "{{kind}}"),),
            "bars",
        ),
        Panel(
            "Deliveries, by outcome",
            "`unknown`: the reply was lost, the message may be there. `refused`: the chat will not take it; mend the "
            "target. Repeats were sent after an unknown outcome and are marked as such.",
            "short",
            (
                Query(rise("liqwatch_notifications_total", "destination, outcome"), "{{destination}} {{outcome}}"),
                Query(rise("liqwatch_notifications_repeated_total", "destination"), "{{destination}} repeats"),
            ),
            "bars",
        ),
        Panel(
            "Outbox, by target",
            "Decided and not yet delivered. One target that is down does not hold up another.",
            "short",
            (Query(f"sum by (destination) ({series('liqwatch_outbox_pending')})", "{{destination}}"),),
        ),
        Panel(
            "Oldest undelivered",
            "Age of the oldest notification that no chat has accepted yet.",
            "s",
            (Query(f"max({series('liqwatch_outbox_oldest_seconds')})", "oldest"),),
        ),
        Panel(
            "Edits, by outcome",
            "First messages written anew while their incident grew, and at its end, which is tried for hours. Nobody "
            "is told anything by an edit. Left behind: still as they were, in a chat that the target leads to no more.",
            "short",
            (
                Query(rise("liqwatch_message_edits_total", "destination, outcome"), "{{destination}} {{outcome}}"),
                Query(
                    rise("liqwatch_incident_summaries_total", "destination, outcome"),
                    "{{destination}} summary {{outcome}}",
                ),
                Query(rise("liqwatch_messages_left_behind_total", "destination"), "{{destination}} left behind"),
            ),
            "bars",
        ),
        Panel(
            "Pictures, by outcome",
            "They follow a message and are no part of it. `none`: nothing to draw; `failed`: not drawn; `late`: not in "
            "time; `dropped`: too many waited. None is sent again.",
            "short",
            (Query(rise("liqwatch_pictures_total", "destination, outcome"), "{{destination}} {{outcome}}"),),
            "bars",
        ),
        Panel(
            "Held back",
            "Steps that nobody was told: silenced, part of a wider incident, or in quiet hours. What still lasts "
            "afterwards is told then. `no target`: none that is switched on; nobody will be told.",
            "short",
            (
                Query(rise("liqwatch_steps_held_back_total", "cause"), "{{cause}}"),
                Query(f"sum(increase({series('liqwatch_steps_untold_total')}[$__rate_interval]))", "no target"),
                Query(f"max({series('liqwatch_silences_active')})", "silences in force"),
            ),
        ),
        Panel(
            "Incident records cut down",
            "Too large for the log: old attempts, reminders and evidence were left out. Look at the targets of the "
            "incident: a record grows by attempts.",
            "short",
            (Query(rise("liqwatch_incident_records_cut_total", "job"), "{{job}}"),),
            "bars",
        ),
        Panel(
            "Decision to delivery",
            "99th percentile from the decision to the chat's yes.",
            "s",
            (
                Query(
                    "histogram_quantile(0.99, sum by (le, destination) "
                    f"({rate('liqwatch_notification_latency_seconds_bucket')}))",
                    "{{destination}}",
                ),
            ),
        ),
    ),
)

PAGE = Row(
    "Page",
    (
        Panel(
            "Viewers",
            "Pages connected to the stream.",
            "short",
            (Query(f"sum by (job) ({series('liqwatch_web_viewers')})", "{{job}}"),),
        ),
        Panel(
            "Requests, by status",
            "Requests per second to the page and its API. 4xx are mistakes of who asks, 5xx are ours.",
            "reqps",
            (Query(f"sum by (status) ({rate('liqwatch_web_requests_total')})", "{{status}}"),),
        ),
        Panel(
            "Total to page",
            "From a total's own time to the update that tells it to the pages. A rise means that the page is behind.",
            "s",
            quantiles("liqwatch_web_stream_lag_seconds"),
        ),
        Panel(
            "Viewers that fell behind",
            "They were sent everything anew: a slow line, or a machine that sleeps.",
            "short",
            (Query(rise("liqwatch_web_resyncs_total", "job"), "{{job}}"),),
            "bars",
        ),
        Panel(
            "Not readable by the page",
            "Records of the log that the page could not read: written by another version, or damaged.",
            "short",
            (Query(rise("liqwatch_web_records_unreadable_total", "job"), "{{job}}"),),
            "bars",
        ),
    ),
)

PROCESSES = Row(
    "Processes",
    (
        Panel(
            "Answering, ready",
            "Answering: Prometheus hears it; one that has ended and one that stands still look the same. Ready: it "
            "does its work; /readyz says in words why it does not.",
            "short",
            (
                Query(f"min by (job) ({series('up')})", "{{job}} answers"),
                Query(f"min by (job) ({series('liqwatch_ready')})", "{{job}} ready"),
            ),
            "strip",
            24,
            4,
            steps=((1, GOOD),),
            words=((0, "no", BAD), (1, "yes", GOOD)),
        ),
        Panel(
            "Versions",
            "Which version each process runs, and whether its last reading of the settings succeeded.",
            "short",
            (
                Query(
                    f"{series('liqwatch_build_info')} * on (job, instance) group_left () "
                    f"{series('liqwatch_config_last_reload_successful')}",
                    "{{job}}",
                ),
            ),
            "table",
        ),
        Panel(
            "Processor",
            "Cores used by each process. One process uses one at most.",
            "short",
            (Query(f"sum by (job) ({rate('process_cpu_seconds_total')})", "{{job}}"),),
        ),
        Panel(
            "Memory",
            "Resident memory of each process.",
            "bytes",
            (Query(f"sum by (job) ({series('process_resident_memory_bytes')})", "{{job}}"),),
        ),
        Panel(
            "Alerters acting",
            "Exactly one acts; others stand by.",
            "short",
            (Query(f"sum({series('liqwatch_alerter_active')})", "acting"),),
        ),
        Panel(
            "Age of the settings",
            "Since the settings in force were last read; a change of the hash is a change of the settings.",
            "s",
            (
                Query(
                    f"time() - max by (job) ({series('liqwatch_config_last_reload_success_timestamp_seconds')})",
                    "{{job}}",
                ),
            ),
        ),
        Panel(
            "Changes of the settings",
            "How often the settings in force changed within the step.",
            "short",
            (Query(f"sum by (job) (changes({series('liqwatch_config_hash')}[$__rate_interval]))", "{{job}}"),),
            "bars",
        ),
    ),
)
