"""The proxies of the environment, which httpx uses."""

from urllib.parse import urlsplit

import httpx

from innerloop_client.connection_options import has_port


def check_ports() -> None:
    """Raise ValueError if a proxy of the environment has an impossible port: requests would go to another one."""
    from urllib.request import getproxies  # httpx has imported it

    proxies = getproxies()
    for name in ("http", "https", "all"):  # those that httpx uses
        proxy = proxies.get(name, "")
        if not has_port(urlsplit(proxy if "://" in proxy else f"http://{proxy}")):
            raise ValueError(f"the port of {name.upper()}_PROXY is no number from 1 to 65535")


def environment_proxy(url: str) -> str | None:
    """The proxy for a URL, without a password; None if there is none."""
    from urllib.request import getproxies, proxy_bypass  # only after an error

    parsed, proxies = httpx.URL(url), getproxies()
    proxy = proxies.get(parsed.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parsed.host):
        return None
    return str(httpx.URL(proxy if "://" in proxy else f"http://{proxy}").copy_with(userinfo=b""))
