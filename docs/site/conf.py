"""How Sphinx draws the site; see `build.py`."""

project = "xaibench"
html_title = "xaibench"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"
html_theme = "furo"
html_copy_source = False
html_show_sphinx = False
myst_heading_anchors = 3
myst_enable_extensions = ["attrs_inline"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 88
default_role = "literal"
napoleon_attr_annotations = (
    False  # jaxtyping writes shapes as strings, which are no types to Sphinx
)
