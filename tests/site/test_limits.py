"""docs/limits.md: a test tries every limit, at its edges where it has two."""

import ast

from tests.documents import ROOT
from tests.site.test_pages import rows

TRIED = {
    "Message data, as compact UTF-8 JSON": "core/test_messages data_of_4097_bytes",
    "Depth of Message data": "core/test_messages deeper_data_is_refused",
    "Services of an account; 0: any number": "core/test_quotas the_third_service",
    "Streams of an account; 0: any number": "core/test_quotas the_third_stream",
    "Publish rate of a Stream": "core/test_limits the_30th_message_passes_and_the_31st",
    "Window in which the rate is counted": "core/test_limits a_window_of_10_seconds",
    "Unique name": "rest/test_streams bad_name_is_refused",
    "TTL of a Stream": "core/test_rules a_ttl_below_0_or_above_a_year",
    "Friendly name of a Service": "core/test_rules any_other_friendly_name",
    "Webhook URL": "core/test_rules any_other_webhook_url",
    "Reachability debouncing window": "core/test_rules any_other_debouncing_window",
    "Request body": "door/test_http a_longer_body_is_refused",
    "Parameters of a request": "rest/test_parsers form_has_at_most_100_parameters",
    "Page size of a list": "rest/test_pagination page_size_defaults_to_50_and_is_cut",
    "Requests in progress, of a process": "door/test_concurrency requests_have_a_place",
    "Waiting requests, of a process": "door/test_concurrency one_address_takes_half",
    "Request line and headers": "door/test_http a_longer_head_is_refused",
    "Headers of a request": "door/test_http headers_of_a_request_are_limited",
    "Time for a request's head": "door/test_http an_unfinished_request_is_answered",
    "Time for a request's body": "door/test_http an_unfinished_request_is_answered",
    "Time for a client to read a response": "door/test_http response_that_is_not_read",
    "HTTP connections of a process": "door/test_http the_longest_idle_connection",
    "Identity": "core/test_tokens any_other_identity_is_refused",
    "Lifetime of a token": "core/test_tokens a_token_of_more_than_24_hours",
    "Connections of a process": "websocket/test_overload the_last_place_is_taken",
    "New connections a second, of a process": "websocket/test_overload up_to_the_rate",
    "Connections of one identity; 0: any number": (
        "door/test_connecting up_to_the_limit"
    ),
    "Connections of one account; 0: any number": "door/test_connecting up_to_the_limit",
    "Connections of one IP address; 0: any number": (
        "door/test_connecting connections_of_an_address"
    ),
    "Failed logins a minute, of an IP address; 0: any number": (
        "door/test_connecting an_address_that_fails_too_often"
    ),
    "Refused tokens of a connection": "twilsock/test_consumer the_second_refused_token",
    "Lag of the event loop": "websocket/test_overload while_the_process_is_late",
    "Time from accept to an accepted token": "door/test_connecting the_deadline_runs",
    "Subscriptions of a connection": "websocket/test_consumer holds_2000_subscriptions",
    "Inbound frame": "websocket/test_protocol a_frame_of_64_kib_is_read_and_a_larger",
    "Inbound frames a second, of a connection": "websocket/test_consumer many_frames",
    "Frames before the token is accepted": "door/test_frames limited_number_of_frames",
    "Bytes before the token is accepted": "door/test_frames limited_number_of_bytes",
    "Bytes a second, of a connection": "door/test_frames a_flood_of_control",
    "Pings and pongs in 2 s, of a connection": "door/test_frames pings_and_pongs_have",
    "Fragments of a message": "door/test_frames fragments_of_a_message",
    "Frames that wait for a connection": "delivery/test_outbox messages_wait_up_to",
    "Bytes that wait for a connection": "delivery/test_outbox bytes_wait_up_to",
    "Bytes sent and not acknowledged": "delivery/test_outbox bytes_in_flight",
    "Time without an acknowledgement": "delivery/test_outbox never_pongs_is_closed",
    "Time to read what is left when a socket ends": (
        "door/test_unread a_socket_that_ends_unread"
    ),
    "Queued webhooks of a Service, in a process": "webhooks/test_delivery full_queue",
    "Time for the channel layer to accept a Message": (
        "delivery/test_broadcast a_layer_that_does_not_take_it"
    ),
    "Time for which a process may be unreachable": (
        "websocket/test_unreachable unreachable_for_too_long"
    ),
}
"""A test of each limit: its file, and words of its name."""


def test_every_limit_is_tried() -> None:
    assert TRIED.keys() == {name for name, *_ in rows("docs/limits.md")}
    for limit, place in TRIED.items():
        file, words = place.split()
        tree = ast.parse((ROOT / f"tests/{file}.py").read_text())
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        names = [node.name for node in ast.walk(tree) if isinstance(node, functions)]
        assert any(words in name for name in names), limit
