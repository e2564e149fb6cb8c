"""Take the README's picture of a report's page.

python benchmarks/page_picture.py results/quickstart/report/report.html docs/images/quickstart.png

It needs the group `dev` and Chromium.
"""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright


def main(page_file: str, picture: str) -> None:
    """Write the top of the page, down to the first picture, as PNG."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1000, "height": 1200}, device_scale_factor=1.5)
        page.goto(Path(page_file).resolve().as_uri())
        page.wait_for_selector("svg")
        page.screenshot(path=picture)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
