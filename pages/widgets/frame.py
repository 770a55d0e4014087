"""What surrounds every page: the menu, the browser tab's title, the talk's controls, notices and warnings."""

from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from pages.widgets.drawn import tell_when_drawn
from pages.widgets.method_files import draw_faults, load_method_files
from pages.widgets.page_setup import EXPLORE, PAGE, ROOT, enter, page_file
from pages.widgets.present import presenter
from pages.widgets.public_mode import draw_notice
from pages.widgets.redraw import whole_page
from pages.widgets.visited import note_address

# A file: the browser would load one of Streamlit's named icons from a font service on the internet.
ICON = str(Path(__file__).parents[2] / "assets" / "icon.svg")
STYLE = f"<style>{Path(__file__).with_suffix('.css').read_text(encoding='utf-8')}</style>"


def list_pages() -> list[StreamlitPage]:
    """Return the pages in the menu's order; the first is the default.

    A file's stem is its page's URL path (the default page's is empty); links and talks use it.
    """
    return [
        st.Page(EXPLORE, title="Explore", icon=":material/content_cut:", url_path=ROOT, default=True),
        st.Page("pages/compare.py", title="Compare", icon=":material/show_chart:"),
        st.Page("pages/microscope.py", title="Microscope", icon=":material/biotech:"),
        st.Page("pages/generate.py", title="Generate", icon=":material/notes:"),
        st.Page("pages/learn.py", title="Learn", icon=":material/school:"),
        st.Page("pages/runs.py", title="Runs", icon=":material/inventory_2:"),
        st.Page("pages/methods.py", title="Methods", icon=":material/menu_book:"),
        st.Page("pages/present.py", title="Present", icon=":material/slideshow:"),
    ]


def draw_page() -> None:
    """Draw the page that the address names, with everything around it."""
    # First, see there: a run that is cancelled earlier would lose a key press.
    presenter.listen_for_keys()
    enter()
    st.set_page_config(page_title="Prunescope", page_icon=ICON, layout="wide", initial_sidebar_state=310)
    faults = load_method_files()
    page = st.navigation(list_pages(), position="hidden" if presenter.has_talk() else "top")
    st.html(STYLE)
    with whole_page(page_file(page.url_path)):
        # Before the page: opening a view of the talk switches pages, which ends this run of the script.
        presenter.start_from_address(page)
        presenter.draw_presenter()
        if not presenter.has_talk():
            draw_notice()
            draw_faults(faults)
        page.run()
        st.session_state[PAGE] = page.url_path
        note_address()

        # After the first page is drawn: importing the engine takes seconds.
        from pages.widgets.engine_handle import shared_engine

        exposures = shared_engine().exposures()
        tell_when_drawn()
        if not presenter.has_talk():
            for sentence in exposures:
                st.warning(sentence, icon=":material/lock_open:")
