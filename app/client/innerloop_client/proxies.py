"""The proxies of the environment, which httpx uses."""

import httpx


def environment_proxy(url: str) -> str | None:
    """The proxy for a URL, without a password; None if there is none."""
    from urllib.request import getproxies, proxy_bypass  # only after an error

    parsed, proxies = httpx.URL(url), getproxies()
    proxy = proxies.get(parsed.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parsed.host):
        return None
    return str(httpx.URL(proxy if "://" in proxy else f"http://{proxy}").copy_with(userinfo=b""))
