/* SPDX-License-Identifier: MPL-2.0
 * The rows behind cluster/settings.h: one per key, each with a kind that parses and prints it. Private to
 * the settings files; everybody else uses rk_settings_key.                                               */
#ifndef RK_CLUSTER_SETTINGS_TABLE_H
#define RK_CLUSTER_SETTINGS_TABLE_H
#include "cluster/settings.h"

#define RK_SETTINGS_VALUE 8192 /* longest value as text: 64 nodes */

typedef struct rk_setting_row rk_setting_row_t;

/* How values of one kind are read and written. parse leaves *s untouched on error; its text does not name
 * the key, the caller puts it in front. print returns the characters needed, as snprintf does.           */
typedef struct {
    const char *name; /* as shown to people */
    rk_err_t (*parse) (rk_settings_t *s, const rk_setting_row_t *row, const char *value, rk_error_t *err);
    size_t (*print) (const rk_settings_t *s, const rk_setting_row_t *row, char *text, size_t size);
} rk_setting_kind_t;

/* One word a key may take. Rows end with name NULL. */
typedef struct {
    const char *name;
    int value;       /* of the enum; unused by keys that store the word itself */
    bool planned;    /* part of the design, not built yet: refused with RK_EUNSUPPORTED */
    const char *same; /* the word stored instead, where two words mean the same */
} rk_setting_word_t;

struct rk_setting_row {
    const char *key;
    const rk_setting_kind_t *kind;
    const char *allowed, *fallback, *help;
    size_t offset, size;             /* of the member of rk_settings_t */
    uint64_t low, high;              /* integers: inclusive */
    double least, most;              /* reals: inclusive */
    const rk_setting_word_t *words;  /* words */
};

extern const rk_setting_kind_t rk_kind_integer, rk_kind_real, rk_kind_switch, rk_kind_text, rk_kind_name, rk_kind_listen,
    rk_kind_choice, rk_kind_word, rk_kind_every, rk_kind_nodes, rk_kind_layout, rk_kind_ascending, rk_kind_scale;

const rk_setting_row_t *rk_setting_rows (size_t *n_rows);

#endif
