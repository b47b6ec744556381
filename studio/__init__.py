"""What people and clients touch: the page, the API, the command line."""

from studio.ui.gradio_import import skip_stubs

skip_stubs()  # here, because it must come before the first import of Gradio, whoever makes it
