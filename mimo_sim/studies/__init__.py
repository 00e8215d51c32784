"""The runs behind the named figures and studies, as datasets: computed here, drawn in `plots`."""
