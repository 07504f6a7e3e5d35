"""The twelve traps that JupyterHub and DockerSpawner set, each with the tests that fail when it shuts."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
REAL, LEASE, UNDOING = (
    "integration/spawner/test_traps.py",
    "unit/spawner/test_start_on_lease.py",
    "unit/spawner/test_undoing.py",
)
INTERRUPTED, CONFIGURE = "integration/spawner/test_interrupted.py", "unit/spawner/test_configure.py"

TRAPS = {
    "1. `stop` is not called for a container that died by itself": [
        (REAL, "test_a_server_that_is_killed_gives_its_lease_back"),
        (LEASE, "test_a_container_that_died_by_itself_releases_its_lease_through_the_hook"),
    ],
    "2. an old container is started again with its old devices and limits": [
        (REAL, "test_the_next_start_has_the_devices_and_limits_chosen_then"),
        (REAL, "test_a_hub_that_died_while_it_made_a_container_leaves_no_trace_after_the_next_start"),
        (LEASE, "test_a_stale_container_is_replaced_and_its_lease_released_before_a_new_one_is_asked_for"),
    ],
    "3. a start that is cancelled leaves a container that is made afterwards": [
        (LEASE, "test_a_start_that_is_cancelled_while_the_engine_makes_the_container_leaves_none"),
        (UNDOING, "test_a_start_that_is_ended_in_any_call_of_the_engine_leaves_nothing"),
        (INTERRUPTED, "test_a_time_limit_of_a_start_ends_it_and_gives_the_lease_back"),
    ],
    "4. all calls of the Engine go through one thread": [
        ("unit/spawner/test_ordering.py", "test_a_call_that_hangs_holds_up_its_own_server_only"),
        ("unit/spawner/test_ordering.py", "test_a_call_that_nobody_waits_for_any_more_still_comes_before_the_next"),
    ],
    "5. asking through a server keeps it active for ever": [
        (REAL, "test_a_page_that_only_looks_at_jobs_keeps_no_server_active"),
        (CONFIGURE, "test_activity_is_not_what_the_proxy_sees"),
    ],
    "6. a service that does not come up takes the hub down": [
        (INTERRUPTED, "test_a_hub_that_starts_without_the_job_service_lets_people_in_within_seconds"),
        (CONFIGURE, "test_the_job_service_is_external_and_does_not_keep_a_hub_waiting"),
    ],
    "7. a hub that stops takes servers and service with it": [
        (REAL, "test_servers_outlive_a_hub_that_stops_or_dies"),
        (CONFIGURE, "test_an_empty_file_is_a_whole_platform"),
    ],
    "8. answers about tokens are kept for five minutes": [
        ("unit/jobs/test_hub_answers.py", "test_the_hubs_answers_are_kept_for_a_minute"),
        (
            "unit/jobs/test_hub_answers.py",
            "test_a_revoked_token_is_refused_after_a_minute_however_often_it_is_used_meanwhile",
        ),
    ],
    "9. a custom scope with a filter satisfies nobody": [
        (REAL, "test_tokens_may_submit_and_nothing_more_and_nothing_is_filtered"),
        (CONFIGURE, "test_scopes_of_tokens_are_lists_without_filters_on_our_own"),
    ],
    "10. scopes that are a function break every start": [
        (CONFIGURE, "test_scopes_of_tokens_are_lists_without_filters_on_our_own"),
    ],
    "11. limits that are functions are those of the choice before": [
        (REAL, "test_the_next_start_has_the_devices_and_limits_chosen_then"),
        (LEASE, "test_limits_are_those_of_the_profile_chosen_now"),
        (CONFIGURE, "test_limits_come_from_leases_and_never_from_traits"),
    ],
    "12. a token of more than 64 characters is refused": [
        (CONFIGURE, "test_no_token_is_longer_than_the_hub_takes"),
        (REAL, "test_tokens_may_submit_and_nothing_more_and_nothing_is_filtered"),
    ],
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_has_its_tests(trap):
    for file, name in TRAPS[trap]:
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        found = {node.name for node in ast.parse((TESTS / file).read_text()).body if isinstance(node, functions)}

        assert name in found, f"{file} has no {name}"
