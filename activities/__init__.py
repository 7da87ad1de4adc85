"""Everything a journey asks of the world: advancing, delivering, enrolling, routing events, handing off."""
