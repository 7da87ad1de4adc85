"""Who somebody is and what is known of them: keys, fields, consents, merges, the timeline."""
