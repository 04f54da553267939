/* SPDX-License-Identifier: MPL-2.0
 * Chaos on real processes: every `rookery` process runs in a network and host-name namespace of its own, joined to the
 * others by a bridge, and is killed, stopped, cut off, slowed down and molested while it trains. One thread, one loop.
 * Files: machines.c (namespaces, links), procs.c (processes and what they print), faults.c (what is done to them),
 * strangers.c (ports, noise, wrong keys, replayed bytes), ledger.c (what came of it), main.c (the loop).
 * Needs root. All state is in one chaos_t; times are milliseconds of CLOCK_MONOTONIC.                     */
#ifndef RK_TESTS_CHAOS_CHAOS_H
#define RK_TESTS_CHAOS_CHAOS_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "tests/support/noise.h"

#define CHAOS_MACHINES 12
#define CHAOS_STRANGER CHAOS_MACHINES /* one more machine, which is in nobody's run */
#define CHAOS_KINDS    16
#define CHAOS_EVENTS   65536
#define CHAOS_PORT     5600

typedef struct {
    const char *rookery, *data, *model;
    char folder[256]; /* of everything that is written */
    uint32_t n_nodes, passes, every;
    uint64_t seed;
    int64_t chaos_ms;  /* how long faults are injected */
    double speed;       /* declared by every node: it waits as long as so slow a machine would take */
    uint32_t rate_kbit; /* of every link, always; 0: as fast as it goes */
    uint32_t leaders;  /* instead: this many leaders are killed, one after the other */
    bool respawn, insecure, calm_only, verbose;
    const char *only;  /* faults of this name only */
} chaos_config_t;

struct chaos;
typedef struct {
    pid_t pid;     /* 0: none */
    uint32_t life; /* how often it was started */
    int out, err;  /* what it prints; -1: closed */
    char line[2][4096];
    size_t n_line[2];
    FILE *log;
    char address[160]; /* where others can join it; "": not known */
    uint64_t view;
    uint32_t n_members;  /* of that view */
    int64_t commit_ms, started_ms, stopped_ms; /* 0: never, never, not stopped */
    int64_t rss_kb, rss_most_kb;
    bool cut, deaf, slow, full, jumped, expelled, ended; /* ended: with exit code 0 */
    int64_t heal_ms;
    void (*heal) (struct chaos *c, uint32_t m);
} chaos_proc_t;

typedef struct {
    int64_t at_ms, recovered_ms; /* -1: not yet; a commit in a later view, or after it was healed */
    uint64_t view;
    uint32_t kind, machine;
    int64_t lasts_ms;
    bool leader, view_changed;
} chaos_event_t;

typedef struct chaos {
    chaos_config_t config;
    noise_t noise;
    int64_t began_ms, next_ms, until_ms;
    char tag[16]; /* of the namespaces */
    chaos_proc_t procs[CHAOS_MACHINES + 1];
    uint32_t leader; /* the machine that has committed last */
    uint64_t view;   /* the newest that has committed */

    /* ledger */
    chaos_event_t *events;
    uint32_t n_events, done[CHAOS_KINDS];
    uint64_t commits, next_f, first_gap_f, lost, again, n_retaken;
    int64_t last_commit_ms, longest_ms, longest_at_ms;
    double *rounds_ms;
    uint32_t n_rounds;
    int64_t gained_kb; /* most memory that a process gained while another stood still */
    uint32_t crashed, left, strangers_seen, wrong_key_in, replays_taken, replays_refused, hellos;
    char last[2048];   /* the line that ends the run */
    bool ended, failed;
} chaos_t;

int64_t chaos_now_ms (void);
void chaos_say (chaos_t *c, const char *fmt, ...) __attribute__ ((format (printf, 2, 3)));
const char *chaos_name (uint32_t machine); /* "n3" */

/* ---- machines.c */
bool machines_up (chaos_t *c); /* false: no namespaces can be made here */
void machines_down (chaos_t *c);
bool machine_enter (const chaos_t *c, uint32_t m); /* this process is on machine m from here on */
void machine_address (uint32_t m, char text[32]);
void machine_cut (chaos_t *c, uint32_t m, bool cut);       /* nothing passes, either way, and nobody is told */
void machine_mute (chaos_t *c, uint32_t m, bool mute);     /* what it sends is lost, what is sent to it arrives */
void machine_slow (chaos_t *c, uint32_t m, uint32_t kbit); /* what is sent to it passes at this rate; 0: as always */
void machine_fill (chaos_t *c, uint32_t m, bool full);     /* its disc */
void machine_jump (chaos_t *c, uint32_t m, int seconds);   /* its clock */

/* ---- procs.c */
void procs_start (chaos_t *c, uint32_t m);
void procs_listen (chaos_t *c, int wait_ms); /* reads what they print, and who has ended */
void procs_end (chaos_t *c);
bool procs_alive (const chaos_t *c, uint32_t m);
int64_t procs_rss_kb (pid_t pid);
bool procs_clocks_can_jump (void); /* Debian's faketime is there */
pid_t procs_spawn (chaos_t *c, uint32_t m, char *const argv[], int out, int err);

/* ---- faults.c */
void faults_tick (chaos_t *c);
void faults_heal_all (chaos_t *c);
const char *faults_name (uint32_t kind);
uint32_t faults_n (void);
bool faults_in_hand (const chaos_t *c);

/* ---- strangers.c: each is done by a child of its own within seconds */
void strangers_scan (chaos_t *c, uint32_t m);
void strangers_noise (chaos_t *c, uint32_t m);
void strangers_wrong_key (chaos_t *c, uint32_t m);
void strangers_replay (chaos_t *c, uint32_t m);
void strangers_reap (chaos_t *c);
bool strangers_left (void);

/* ---- ledger.c */
void ledger_commit (chaos_t *c, uint32_t m, uint64_t view, uint64_t from, uint64_t to);
int64_t ledger_recovery_ms (const chaos_t *c); /* median so far; 0: none yet */
void ledger_watch (chaos_t *c);                /* memory; once a second */
int ledger_print (chaos_t *c);                 /* the table; exit code */
double ledger_field (const char *line, const char *name);
double ledger_quiet (chaos_t *c); /* the accuracy of a quiet run of as many samples */

#endif
