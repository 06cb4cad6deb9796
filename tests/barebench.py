"""What one would write without the exporter: a Session, threads, `.json()`. A line of input is a round."""

import sys
from concurrent.futures import ThreadPoolExecutor

import requests
from requests.adapters import HTTPAdapter


def main(url: str, number: int, concurrency: int) -> None:
    """Ask for so many executions at each line, and say when it is done."""
    session = requests.Session()
    session.mount("http://", HTTPAdapter(pool_maxsize=concurrency))
    headers = {"Authorization": "Bearer t1.a-token-of-the-bench"}
    ids = [f"dfqbench000000000000-{place:08d}-b506-4c5a-84b2-9abb0c1d2e3f" for place in range(number)]

    def status(id_: str) -> str:
        answer = session.get(f"{url}/workflows/v1/execution/{id_}", headers=headers, timeout=30)
        return str(answer.json()["execution"]["status"])

    with ThreadPoolExecutor(concurrency) as threads:
        for _ in sys.stdin:
            found = list(threads.map(status, ids))
            sys.stdout.write("done\n" if len(found) == number else "failed\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
