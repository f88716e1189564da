"""Makes the parts of the documentation that follow from the code: tables, screenshots, the site. Not in the wheel."""
