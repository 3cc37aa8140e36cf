#pragma once

struct sb_config_reader;
struct sb_yaml_node;

/** Reads the map `secrets:` of a profile, as a row of a table of keys. */
int sb_config_secrets_read(struct sb_config_reader *r, const struct sb_yaml_node *map);
