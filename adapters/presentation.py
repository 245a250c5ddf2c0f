"""How a reply looks on a channel: split at good places, rendered from one parsed Markdown tree, drafts throttled."""

from __future__ import annotations
