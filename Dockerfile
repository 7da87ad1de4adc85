# Waymark as an image: every role (migrate, worker, console) is a subcommand of the same program.
FROM python:3.13.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/waymark && pip install uv==0.13.9
WORKDIR /src
COPY pyproject.toml README.md requirements.lock ./
# The locked versions, with their hashes; what only development needs stays out.
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
      > runtime.txt \
 && uv pip install --no-cache --python /opt/waymark/bin/python --constraint requirements.lock -r runtime.txt
COPY journeys journeys
COPY activities activities
COPY records records
COPY console console
COPY workers workers
COPY definitions definitions
COPY templates templates
COPY samples samples
COPY tools/temporal tools/temporal
RUN uv pip install --no-cache --python /opt/waymark/bin/python --no-deps .

FROM python:3.13.14-slim-bookworm
COPY --from=build /opt/waymark /opt/waymark
RUN useradd --create-home --uid 10001 waymark \
 && mkdir -p /srv/waymark /var/lib/waymark && chown waymark:waymark /srv/waymark /var/lib/waymark
ENV PATH=/opt/waymark/bin:$PATH PYTHONUNBUFFERED=1 WAYMARK_HOME=/var/lib/waymark
# The content that the image was built with; mount your own folders over it.
COPY --chown=waymark:waymark definitions /srv/waymark/definitions
COPY --chown=waymark:waymark templates /srv/waymark/templates
USER waymark
WORKDIR /srv/waymark
VOLUME /var/lib/waymark
ENTRYPOINT ["waymark"]
CMD ["--help"]
