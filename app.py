"""The app: `streamlit run app.py`.

Streamlit uses this file twice. The server imports it once, for `app`: what it answers over HTTP. Each visit
then runs it as a script, which draws a page.
"""

import streamlit as st

if __name__ == "__main__":
    from pages.widgets.frame import draw_page

    draw_page()
else:
    from pages.widgets.server import MIDDLEWARE, routes, warm_up

    app = st.App(__file__, routes=routes(), middleware=MIDDLEWARE, lifespan=warm_up)
