"""One message to a segment: planned, admitted, printed and handed over page by page."""
