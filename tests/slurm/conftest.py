"""One cluster for all tests here; what happens on it happens at the same time, because faults are mostly waiting."""

import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from slurm.cluster import Cluster, missing
from slurm.disturb import FOLDER, TARGET, Search, Story
from workspace import PROFILE, Workspace, new_workspace

AT_ONCE = 6


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "story(of): what happens to a search; the fixture `story` is its end")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    reason = missing()
    if reason:
        pytest.skip(reason)
    with Cluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A prepared data set, and under `reference` a search of seconds that ran on this machine without SLURM."""
    workspace = new_workspace(tmp_path_factory.mktemp("undisturbed") / "workspace")
    workspace.change("search.epochs", 40)
    done = workspace.run(*PROFILE, TARGET)
    assert done.returncode == 0, done.stderr
    (workspace.results / FOLDER).rename(workspace.base / "reference")
    return workspace


@pytest.fixture(scope="session")
def reference(undisturbed: Workspace) -> bytes:
    """The π of the search that nobody disturbed."""
    return (undisturbed.base / "reference/pi.parquet").read_bytes()


@pytest.fixture(scope="session")
def stories(
    request: pytest.FixtureRequest, cluster: Cluster, undisturbed: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Story]]]:
    """All stories of the tests that were asked for, begun."""

    def tell(item: pytest.Item) -> Story:
        base = tmp_path_factory.mktemp("story") / "workspace"
        search = Search(Workspace(shutil.copytree(undisturbed.base, base), limits=()), cluster)
        try:
            return item.get_closest_marker("story").kwargs["of"](search)
        finally:
            search.stop()

    items = [item for item in request.session.items if item.get_closest_marker("story")]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {item.nodeid: pool.submit(tell, item) for item in items}
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def story(request: pytest.FixtureRequest, stories: dict[str, Future[Story]]) -> Story:
    """How the story of this test ended."""
    return stories[request.node.nodeid].result()
