"""The page /docs: Swagger UI from the files of fastapi-offline, with what `docs_page.js` adds."""

from html import escape
from pathlib import Path
from string import Template

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse

SCRIPT = Path(__file__).with_suffix(".js").read_text()
PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="$root/static-offline-docs/swagger-ui.css">
<link rel="icon" href="$root/static-offline-docs/favicon.png">
<title>Innerloop</title>
</head>
<body>
<div id="swagger-ui"></div>
<script src="$root/static-offline-docs/swagger-ui-bundle.js"></script>
<script>
$script
SwaggerUIBundle({
  url: '$root/openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  showExtensions: true,
  showCommonExtensions: true,
  requestInterceptor: encodeBody,
  plugins: [showMedia],
});
</script>
</body>
</html>
""")
"""The page, below the prefix `root`. FastAPI's own page takes no functions as parameters of Swagger UI."""


def install(app: FastAPI) -> None:
    """Serve the page."""

    @app.get("/docs", include_in_schema=False)
    async def show_docs(request: Request) -> HTMLResponse:
        root = escape(request.scope.get("root_path", ""))
        return HTMLResponse(PAGE.substitute(root=root, script=SCRIPT))
