"""Files for the tests of corpora."""


def write_files(folder, files):
    """Writes contents by path, and returns the folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder
