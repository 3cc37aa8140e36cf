#pragma once

struct sb_config_reader;
struct sb_yaml_node;

/** Reads `auth` into r->config->auth. -1 only when memory is out, as all readers. */
int sb_config_auth_read(struct sb_config_reader *r, const struct sb_yaml_node *map);
/** Reads `tenants` into it. */
int sb_config_tenants_read(struct sb_config_reader *r, const struct sb_yaml_node *list);
