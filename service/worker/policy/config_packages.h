#pragma once

struct sb_config_reader;
struct sb_yaml_node;

/** Reads packages: of a profile. -1 only when memory is out. */
int sb_config_packages_read(struct sb_config_reader *r, const struct sb_yaml_node *node);
