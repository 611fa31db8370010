"""The ladder page and the JavaScript client that it uses: files that the server sends as they are."""
