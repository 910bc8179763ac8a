"""One module for each noun or shortcut: options in, calls out, rendering by `render`."""
