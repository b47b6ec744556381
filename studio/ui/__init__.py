"""What all tabs share: events, drawing, curves, theme, and what Gradio does otherwise here."""
