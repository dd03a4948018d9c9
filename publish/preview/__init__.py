"""A local web page that shows a dataset as its Hub page will be, before it is published or after."""
