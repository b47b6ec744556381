"""What all tabs share: events, failures, theme, assets, and what Gradio does otherwise here."""
