/* SPDX-License-Identifier: MPL-2.0
 * Every key, its default and its help. A key is added by adding a row here and a member to the struct.   */
#include "cluster/settings_table.h"

#include "compute/optim.h"

#define MEMBER(name) .offset = offsetof (rk_settings_t, name), .size = sizeof (((rk_settings_t *) 0)->name)
#define INTEGER(name, lo, hi) .kind = &rk_kind_integer, MEMBER (name), .low = (lo), .high = (hi)
#define REAL(name, lo, hi) .kind = &rk_kind_real, MEMBER (name), .least = (lo), .most = (hi)
#define SWITCH(name) .kind = &rk_kind_switch, .allowed = "on | off", MEMBER (name)
#define CHOICE(name, list) .kind = &rk_kind_choice, MEMBER (name), .words = (list)
#define WORD(name, list) .kind = &rk_kind_word, MEMBER (name), .words = (list)
#define TEXT(name) .kind = &rk_kind_text, .allowed = "text", MEMBER (name)
#define NAME(name) .kind = &rk_kind_name, .allowed = "a name: letters, digits, - _ .", MEMBER (name)

/* Names that compute registers; LIST leaves out the " | " before the first. */
#define LIST(names) ((names) + 3)
#define RK_OPTIM(optim) {.name = #optim},
static const rk_setting_word_t s_optimizers[] = {
#include "compute/optim/list.h"
    {0}};
#undef RK_OPTIM
#define RK_OPTIM(optim) " | " #optim
static const char s_optimizer_list[] =
#include "compute/optim/list.h"
    ;
#undef RK_OPTIM
#define RK_LR(function, schedule) {.name = (schedule)},
static const rk_setting_word_t s_schedules[] = {
#include "compute/lr_list.h"
    {0}};
#undef RK_LR
#define RK_LR(function, schedule) " | " schedule
static const char s_schedule_list[] =
#include "compute/lr_list.h"
    ;
#undef RK_LR
static const rk_setting_word_t s_nonfinites[] = {
    {.name = "stop", .value = RK_NONFINITE_STOP}, {.name = "skip", .value = RK_NONFINITE_SKIP},
    {.name = "freeze", .value = RK_NONFINITE_FREEZE}, {0}};
static const rk_setting_word_t s_exempts[] = {{.name = "published", .value = RK_EXEMPT_PUBLISHED},
                                              {.name = "bias-norm", .value = RK_EXEMPT_BIAS_NORM},
                                              {.name = "none", .value = RK_EXEMPT_NONE},
                                              {0}};
static const rk_setting_word_t s_label_kinds[] = {
    {.name = "classes", .value = RK_LABEL_CLASS}, {.name = "values", .value = RK_LABEL_TARGET}, {0}};
static const rk_setting_word_t s_shards[] = {
    {.name = "leased"}, {.name = "fixed"}, {.name = "dirichlet"}, {0}};
static const rk_setting_word_t s_precisions[] = {
    {.name = "f32", .value = RK_PRECISION_F32}, {.name = "bf16", .value = RK_PRECISION_BF16}, {0}};
static const rk_setting_word_t s_recomputes[] = {{.name = "auto", .value = RK_RECOMPUTE_AUTO},
                                                 {.name = "on", .value = RK_RECOMPUTE_ON},
                                                 {.name = "off", .value = RK_RECOMPUTE_OFF},
                                                 {0}};
#define RK_PLANNER(planner) {.name = #planner},
static const rk_setting_word_t s_planners[] = {
#include "cluster/planners/list.h"
    {0}};
#undef RK_PLANNER
#define RK_PLANNER(planner) " | " #planner
static const char s_planner_list[] =
#include "cluster/planners/list.h"
    ;
#undef RK_PLANNER
static const rk_setting_word_t s_wires[] = {{.name = "f32", .value = RK_WIRE_F32}, {.name = "f16", .value = RK_WIRE_F16}, {0}};
static const rk_setting_word_t s_modes[] = {
    {.name = "overlapped", .value = RK_AVERAGE_OVERLAPPED}, {.name = "drained", .value = RK_AVERAGE_DRAINED}, {0}};
static const rk_setting_word_t s_weights[] = {
    {.name = "auto", .value = RK_WEIGHTS_AUTO},
    {.name = "samples", .value = RK_WEIGHTS_SAMPLES},
    {.name = "equal", .value = RK_WEIGHTS_EQUAL},
    {0}};
static const rk_setting_word_t s_exchanges[] = {
    {.name = "direct", .value = RK_EXCHANGE_DIRECT}, {.name = "cheapest", .value = RK_EXCHANGE_CHEAPEST}, {0}};
static const rk_setting_word_t s_units[] = {{.name = "total", .value = 0}, {.name = "side", .value = 1}, {0}};
static const rk_setting_word_t s_roundings[] = {{.name = "floor", .value = 0}, {.name = "nearest", .value = 1}, {0}};
/* cluster/graphs/list.h; a test compares. "ring" is a sparse graph (each replica mixes with two others), not the
 * ring all-reduce, by which complete is done.                                                             */
static const rk_setting_word_t s_graphs[] = {{.name = "complete"},
                                             {.name = "all-reduce", .same = "complete"},
                                             {.name = "ring"},
                                             {.name = "one-way-ring"},
                                             {.name = "torus"},
                                             {.name = "grid"},
                                             {.name = "star"},
                                             {.name = "exponential"},
                                             {.name = "one-peer-exponential"},
                                             {.name = "hypercube"},
                                             {.name = "one-peer-hypercube"},
                                             {.name = "lattice"},
                                             {.name = "ada"},
                                             {.name = "spread"},
                                             {.name = "ada-spread"},
                                             {.name = "erdos-renyi"},
                                             {.name = "matching"},
                                             {.name = "two-level"},
                                             {.name = "mixed-radix"},
                                             {.name = "directed"},
                                             {0}};
static const rk_setting_word_t s_codecs[] = {{.name = "f32"},
                                             {.name = "bf16", .planned = true},
                                             {.name = "int8", .planned = true},
                                             {.name = "int4", .planned = true},
                                             {.name = "top-k", .planned = true},
                                             {0}};
static const rk_setting_word_t s_bns[] = {
    {.name = "auto", .value = RK_BN_AUTO}, {.name = "on", .value = RK_BN_ON}, {.name = "recalibrate", .value = RK_BN_RECALIBRATE}, {0}};
static const rk_setting_word_t s_orders[] = {{.name = "atc", .value = RK_AVERAGE_ATC}, {.name = "awc", .value = RK_AVERAGE_AWC}, {0}};
static const rk_setting_word_t s_momenta[] = {
    {.name = "local", .value = RK_MOMENTUM_LOCAL}, {.name = "quasi-global", .value = RK_MOMENTUM_QUASI_GLOBAL}, {0}};
static const rk_setting_word_t s_replans[] = {
    {.name = "auto", .value = RK_REPLAN_AUTO}, {.name = "on", .value = RK_REPLAN_ON}, {.name = "off", .value = RK_REPLAN_OFF}, {0}};
static const rk_setting_word_t s_losses[] = {{.name = "continue", .value = RK_LOSS_CONTINUE}, {.name = "stop", .value = RK_LOSS_STOP}, {0}};
static const rk_setting_word_t s_evaluates[] = {
    {.name = "replicas", .value = RK_EVALUATE_REPLICAS}, {.name = "merged", .value = RK_EVALUATE_MERGED}, {0}};
static const rk_setting_word_t s_rings[] = {{.name = "intersect", .value = RK_RINGS_INTERSECT},
                                            {.name = "min-size", .value = RK_RINGS_MIN_SIZE},
                                            {.name = "largest", .value = RK_RINGS_LARGEST},
                                            {0}};
static const rk_setting_word_t s_transports[] = {{.name = "inproc"}, {.name = "ipc"}, {.name = "tcp"}, {0}};

static const rk_setting_row_t s_rows[] = {
    {.key = "run.seed", INTEGER (run_seed, 0, UINT64_MAX), .allowed = "0 <= N < 2^64", .fallback = "1",
     .help = "seed of the initial parameters, the order of the samples and dropout"},
    {.key = "run.passes", INTEGER (run_passes, 1, 1000000), .allowed = "1 <= N <= 1000000", .fallback = "2",
     .help = "sweeps over the training set"},
    {.key = "run.dir", TEXT (run_dir), .fallback = "", .help = "folder the run writes; empty: a new one"},
    {.key = "run.plan", TEXT (run_plan), .fallback = "", .help = "plan file to replay; empty: plan anew"},
    {.key = "run.control", TEXT (run_control), .fallback = "",
     .help = "control records to replay (control.log of a run); empty: average.control decides"},
    {.key = "run.threads", INTEGER (run_threads, 0, 1024), .allowed = "0 <= N <= 1024", .fallback = "0",
     .help = "cores a process may compute on; 0: all of the machine"},
    {.key = "run.precision", CHOICE (run_precision, s_precisions), .allowed = "f32 | bf16", .fallback = "f32",
     .help = "factors of products; sums and parameters stay f32. bf16: rounded, if all processors can (AMX, AVX-512)"},
    {.key = "model.name", NAME (model_name), .fallback = "cnn", .help = "built-in model"},
    {.key = "data.name", NAME (data_name), .fallback = "fashion-mnist", .help = "data set"},
    {.key = "data.path", TEXT (data_path), .fallback = "", .help = "folder or file of the data set; empty: its usual place"},
    {.key = "data.classes", INTEGER (data_classes, 0, 65536), .allowed = "0 <= N <= 65536", .fallback = "0",
     .help = "classes of the data set; 0: as the set has, or its largest label + 1"},
    {.key = "data.augment", TEXT (data_augment), .fallback = "none",
     .help = "what is done to training pictures: crop,flip,cutout or some of them; none"},
    {.key = "data.header", SWITCH (data_header), .fallback = "on", .help = "csv: the first line names the columns"},
    {.key = "data.label", TEXT (data_label), .fallback = "last",
     .help = "csv: the label's column, by name or number from 1; last: the last one"},
    {.key = "data.labels", CHOICE (data_labels, s_label_kinds), .allowed = "classes | values", .fallback = "classes",
     .help = "csv, numpy: labels are class numbers, or values, for a model that ends in mse or bce"},
    {.key = "data.sequence", INTEGER (data_sequence, 1, 65536), .allowed = "1 <= N <= 65536", .fallback = "128",
     .help = "text: tokens of a sample"},
    {.key = "data.vocabulary", INTEGER (data_vocabulary, 0, 65536), .allowed = "0, 257 <= N <= 65536", .fallback = "0",
     .help = "text: tokens of the byte-pair vocabulary; 0: one token for each of 96 characters"},
    {.key = "data.shard", WORD (data_shard, s_shards), .allowed = "leased | fixed | dirichlet", .fallback = "leased",
     .help = "which cluster trains which samples; leased: any cluster any minibatch, each once per pass"},
    {.key = "data.alpha", REAL (data_alpha, 0.001, 1000000), .allowed = "0.001 <= x <= 1000000", .fallback = "0.1",
     .help = "dirichlet: small, and replicas have few classes each; large, and they have equal shares of all"},
    {.key = "train.batch", INTEGER (train_batch, 1, 65536), .allowed = "1 <= N <= 65536", .fallback = "64",
     .help = "samples per minibatch"},
    {.key = "train.optimizer", WORD (train_optimizer, s_optimizers), .allowed = LIST (s_optimizer_list), .fallback = "sgd",
     .help = "optimiser of every stage"},
    {.key = "train.lr", REAL (train_lr, 0, 1000), .allowed = "0 <= x <= 1000", .fallback = "0.06",
     .help = "learning rate before the schedule"},
    {.key = "train.momentum", REAL (train_momentum, 0, 0.999999), .allowed = "0 <= x <= 0.999999", .fallback = "0.9",
     .help = "momentum of sgd and lars"},
    {.key = "train.nesterov", SWITCH (train_nesterov), .fallback = "off", .help = "Nesterov's momentum, sgd only"},
    {.key = "train.weight_decay", REAL (train_weight_decay, 0, 1), .allowed = "0 <= x <= 1", .fallback = "0",
     .help = "sgd, adam: added to the gradient times the parameter; adamw: of the parameters themselves; lamb, lars: "
             "in the direction"},
    {.key = "train.beta1", REAL (train_beta1, 0, 0.999999), .allowed = "0 <= x <= 0.999999", .fallback = "0.9",
     .help = "running mean of the gradient of adam, adamw and lamb"},
    {.key = "train.beta2", REAL (train_beta2, 0, 0.999999), .allowed = "0 <= x <= 0.999999", .fallback = "0.999",
     .help = "running mean of its square"},
    {.key = "train.epsilon", REAL (train_epsilon, 1e-30, 1), .allowed = "1e-30 <= x <= 1", .fallback = "1e-08",
     .help = "added to what a gradient is divided by (adam, adamw, lamb, lars); published for lamb: 1e-6"},
    {.key = "train.trust", REAL (train_trust, 1e-9, 1000), .allowed = "1e-9 <= x <= 1000", .fallback = "0.001",
     .help = "trust coefficient of lars: how far a tensor moves in a step at learning rate 1, as a share of its norm"},
    {.key = "train.exempt", CHOICE (train_exempt, s_exempts), .allowed = "published | bias-norm | none",
     .fallback = "published",
     .help = "parameters without decay and trust ratio; published: biases and norms with lamb and lars, none with the others"},
    {.key = "train.schedule", WORD (train_schedule, s_schedules), .allowed = LIST (s_schedule_list),
     .fallback = "cosine", .help = "learning rate over the run"},
    {.key = "train.warmup", INTEGER (train_warmup, 0, 1000000000), .allowed = "0 <= N <= 1000000000", .fallback = "0",
     .help = "minibatches of linear warm-up before any schedule"},
    {.key = "train.step_every", INTEGER (train_step_every, 0, 1000000000), .allowed = "0 <= N <= 1000000000",
     .fallback = "0", .help = "minibatches between two drops of the step schedule"},
    {.key = "train.step_gamma", REAL (train_step_gamma, 0, 1), .allowed = "0 <= x <= 1", .fallback = "0.1",
     .help = "factor of each drop of the step and milestones schedules"},
    {.key = "train.milestones", .kind = &rk_kind_ascending, MEMBER (train_milestones), .low = 1, .high = 1000000000,
     .allowed = "N1,N2,... ascending, at most 16 | none", .fallback = "none",
     .help = "minibatches at which the milestones schedule drops"},
    {.key = "train.lr_power", REAL (train_lr_power, 0.01, 100), .allowed = "0.01 <= x <= 100", .fallback = "2",
     .help = "power of the polynomial schedule"},
    {.key = "train.lr_floor", REAL (train_lr_floor, 0, 1), .allowed = "0 <= x <= 1", .fallback = "0",
     .help = "share of train.lr at which cosine, linear and polynomial end"},
    {.key = "train.clip", REAL (train_clip, 0, 1e9), .allowed = "0 <= x <= 1e9", .fallback = "0",
     .help = "largest norm of a gradient, over all stages of a cluster; 0: any"},
    {.key = "train.loss_scale", .kind = &rk_kind_scale, MEMBER (train_loss_scale), .least = 1e-6, .most = 16777216,
     .allowed = "1e-6 <= x <= 16777216 | dynamic", .fallback = "1",
     .help = "what losses are multiplied by before the backward; dynamic: halved at an overflow, doubled when there is none"},
    {.key = "train.loss_scale_every", INTEGER (train_loss_scale_every, 1, 1000000000), .allowed = "1 <= N <= 1000000000",
     .fallback = "2000", .help = "updates without overflow after which a dynamic loss scale doubles"},
    {.key = "train.nonfinite", CHOICE (train_nonfinite, s_nonfinites), .allowed = "stop | skip | freeze", .fallback = "stop",
     .help = "when a loss or gradient is NaN or infinite: stop the run, naming layer and minibatch; skip: leave this update "
             "out everywhere and count it; freeze: with a sparse graph, the replica's last finite parameters stand in"},
    {.key = "pipeline.in_flight", INTEGER (pipeline_in_flight, 0, 256), .allowed = "0 <= N <= 256", .fallback = "0",
     .help = "minibatches a cluster has out at once; 0: its number of stages"},
    {.key = "pipeline.update_every", INTEGER (pipeline_update_every, 1, 65536), .allowed = "1 <= N <= 65536",
     .fallback = "1", .help = "minibatches whose gradients are summed before a stage updates"},
    {.key = "pipeline.recompute", CHOICE (pipeline_recompute, s_recomputes), .allowed = "auto | on | off", .fallback = "auto",
     .help = "keep only a stage's inputs and repeat the forward before the backward; auto: stages that do not fit otherwise"},
    {.key = "pipeline.wire", CHOICE (pipeline_wire, s_wires), .allowed = "f32 | f16", .fallback = "f32",
     .help = "format of activations and their gradients between stages"},
    {.key = "average.every", .kind = &rk_kind_every, MEMBER (average_every), .low = 1, .high = 1000000000,
     .allowed = "1 <= N <= 1000000000 | pass", .fallback = "4",
     .help = "minibatches per cluster between two averagings; pass: once per pass"},
    {.key = "average.mode", CHOICE (average_mode, s_modes), .allowed = "overlapped | drained", .fallback = "overlapped",
     .help = "overlapped: training goes on while averaging; drained: the pipelines empty first, reproducible"},
    {.key = "average.weights", CHOICE (average_weights, s_weights), .allowed = "auto | samples | equal", .fallback = "auto",
     .help = "a cluster counts by the samples it trained in the round, or all the same; auto: samples if complete"},
    {.key = "average.graph", WORD (average_graph, s_graphs),
     .allowed = "complete | all-reduce | ring | one-way-ring | torus | grid | star | exponential | one-peer-exponential | "
                "hypercube | one-peer-hypercube | lattice | ada | spread | ada-spread | erdos-renyi | matching | two-level | "
                "mixed-radix | directed",
     .fallback = "complete", .help = "which clusters mix; complete = all-reduce: the exact mean of all, over rings"},
    {.key = "average.degree", INTEGER (average_degree, 0, 65535), .allowed = "0 <= N <= 65535", .fallback = "0",
     .help = "lattice, spread, directed: connections of each replica, 0: 4 (directed: 2); ada, mixed-radix: most of a closed loop"},
    {.key = "average.probability", REAL (average_probability, 0, 1), .allowed = "0 <= x <= 1", .fallback = "0",
     .help = "erdos-renyi: of each link; 0: twice what connects a large graph"},
    {.key = "average.k0", REAL (average_k0, 1, 65536), .allowed = "1 <= x <= 65536", .fallback = "10",
     .help = "ada: connections at first, at most all others; no published value is verified"},
    {.key = "average.gamma", REAL (average_gamma, -65536, 65536), .allowed = "-65536 <= x <= 65536", .fallback = "0.02",
     .help = "ada: connections shed per pass, no published value is verified; below 0: gained, up to average.degree"},
    {.key = "average.k_min", INTEGER (average_k_min, 1, 65536), .allowed = "1 <= N <= 65536", .fallback = "2",
     .help = "ada: fewest connections"},
    {.key = "average.hold", INTEGER (average_hold, 0, 1000000), .allowed = "0 <= N <= 1000000", .fallback = "0",
     .help = "ada: passes before the first connection is shed"},
    {.key = "average.k_unit", CHOICE (average_k_unit, s_units), .allowed = "total | side", .fallback = "total",
     .help = "ada: k counts all connections of a replica, or those on one side of the ring"},
    {.key = "average.k_rounding", CHOICE (average_k_rounding, s_roundings), .allowed = "floor | nearest", .fallback = "floor",
     .help = "ada: gamma times the pass, cut or rounded"},
    {.key = "average.group", INTEGER (average_group, 0, 65536), .allowed = "0 <= N <= 65536", .fallback = "0",
     .help = "two-level: replicas per machine; mixed-radix: largest group; 0: all of them; 16"},
    {.key = "average.budget", REAL (average_budget, 0, 65536), .allowed = "0 <= x <= 65536", .fallback = "0",
     .help = "mixed-radix: models each replica may send per averaging, instead of average.group; 0: not used"},
    {.key = "average.global_every", INTEGER (average_global_every, 0, 1000000000), .allowed = "0 <= N <= 1000000000",
     .fallback = "0", .help = "every so many averagings the exact mean of all replicas instead of the graph; 0: never"},
    {.key = "average.exchange", CHOICE (average_exchange, s_exchanges), .allowed = "direct | cheapest", .fallback = "direct",
     .help = "hear every neighbour; or windows, rings in groups, where fewer bytes are sent (rounding differs)"},
    {.key = "average.push_sum", SWITCH (average_push_sum), .fallback = "off",
     .help = "directed: correct the bias of one-way links by weights that travel along"},
    {.key = "average.control", SWITCH (average_control), .fallback = "off",
     .help = "ada, ada-spread, mixed-radix: connections follow the measured consensus distance (closed loop)"},
    {.key = "average.control_ratio", REAL (average_control_ratio, 0, 1000), .allowed = "0 <= x <= 1000", .fallback = "1.5",
     .help = "closed loop: distance allowed, as a multiple of the densest graph's; 0: 1.5"},
    {.key = "average.control_settle", INTEGER (average_control_settle, 0, 1000000), .allowed = "0 <= N <= 1000000", .fallback = "20",
     .help = "closed loop: rounds at a value before it is judged; 0: 20"},
    {.key = "average.codec", WORD (average_codec, s_codecs), .allowed = "f32", .fallback = "f32",
     .help = "format of parameters while averaging"},
    {.key = "average.optimizer_state", SWITCH (average_optimizer_state), .fallback = "off",
     .help = "average momentum and its like too"},
    {.key = "average.bn", CHOICE (average_bn, s_bns), .allowed = "auto | on | recalibrate", .fallback = "auto",
     .help = "BatchNorm statistics: averaged with the parameters, or measured again; auto: on if replicas are equal"},
    {.key = "average.bn_batches", INTEGER (average_bn_batches, 1, 65536), .allowed = "1 <= N <= 65536", .fallback = "16",
     .help = "training minibatches that BatchNorm statistics of a merged model are measured on"},
    {.key = "average.order", CHOICE (average_order, s_orders), .allowed = "atc | awc", .fallback = "atc",
     .help = "adapt, then combine; or combine what the round began with while it adapts (overlapped only)"},
    {.key = "average.momentum", CHOICE (average_momentum, s_momenta), .allowed = "local | quasi-global", .fallback = "local",
     .help = "momentum of its own, or driven by what the neighbourhood did; average.optimizer_state = on mixes it"},
    {.key = "average.tracking", SWITCH (average_tracking), .fallback = "off",
     .help = "gradient tracking: replicas with different data agree on one step (twice the bytes)"},
    {.key = "average.evaluate", CHOICE (average_evaluate, s_evaluates), .allowed = "replicas | merged", .fallback = "replicas",
     .help = "where replicas differ: evaluate every one of them and their mean, or the mean alone"},
    {.key = "average.probe_every", INTEGER (average_probe_every, 0, 1000000000), .allowed = "0 <= N <= 1000000000",
     .fallback = "0", .help = "rounds between two looks at every tensor's norms and consensus distance (probes.csv); 0: none"},
    {.key = "save.every", INTEGER (save_every, 0, 1000000000), .allowed = "0 <= N <= 1000000000", .fallback = "0",
     .help = "rounds between two checkpoints; 0: at the end of each pass alone"},
    {.key = "save.seconds", INTEGER (save_seconds, 0, 1000000000), .allowed = "0 <= N <= 1000000000", .fallback = "600",
     .help = "seconds after which a round's end is saved too; 0: time does not count"},
    {.key = "save.keep", INTEGER (save_keep, 1, 1000000), .allowed = "1 <= N <= 1000000", .fallback = "2",
     .help = "latest checkpoints that are kept"},
    {.key = "plan.rings", CHOICE (plan_rings, s_rings), .allowed = "intersect | min-size | largest",
     .fallback = "intersect", .help = "how parameters are dealt to rings; the last two are Ravnest's rules"},
    {.key = "plan.planner", WORD (plan_planner, s_planners), .allowed = LIST (s_planner_list), .fallback = "auto",
     .help = "who divides nodes and layers (docs/planning.md); exact: up to 10 nodes; manual: as plan.manual says"},
    {.key = "plan.manual", TEXT (plan_manual), .fallback = "",
     .help = "manual: NAME or NAME:FIRST_LAYER for each stage, clusters apart by /, as a:0 b:4 / c:0 d:6"},
    {.key = "plan.staleness", REAL (plan_staleness, 0, 1000), .allowed = "0 <= x <= 1000", .fallback = "0",
     .help = "progress lost per update of staleness: plans are compared by samples/s / (1 + a staleness + b (C - 1) H)"},
    {.key = "plan.disagreement", REAL (plan_disagreement, 0, 1000), .allowed = "0 <= x <= 1000", .fallback = "0",
     .help = "b of the same: progress lost per further cluster and minibatch between two averagings"},
    {.key = "plan.replan", CHOICE (plan_replan, s_replans), .allowed = "auto | on | off", .fallback = "auto",
     .help = "a better plan is taken while running (docs/planning.md); auto: in overlapped mode with the planner auto and no run.plan"},
    {.key = "fleet.node", .kind = &rk_kind_nodes, MEMBER (fleet), .allowed = "NAME SPEED RAM_MB [, ...] | none",
     /* For the default job: `cnn` at batch 64 needs 76 MB on one node, so none of these holds it alone; split
      * behind the convolutions it needs 57 MB with them and 65 MB with the rest, so any two do. A larger
      * model makes the planner double them (rk_plan_make).                                                 */
     .fallback = "strong-1 1 72, strong-2 1 64, weak-1 0.5 74, weak-2 0.5 70",
     .help = "virtual nodes: speed, a part of this machine's; memory each may use in 2^20 bytes (0: all); none: one node"},
    {.key = "fleet.layout", .kind = &rk_kind_layout, MEMBER (fleet_layout), .low = 1, .high = RK_MAX_FLEET,
     .allowed = "planned | S1,S2,... (stages of each cluster)", .fallback = "planned",
     .help = "1,2,3 forces three clusters of 1, 2 and 3 stages"},
    {.key = "net.transport", WORD (net_transport, s_transports), .allowed = "inproc | ipc | tcp", .fallback = "inproc",
     .help = "how actors reach one another"},
    {.key = "net.listen", .kind = &rk_kind_listen, MEMBER (net_listen), .allowed = "tcp://HOST:PORT | ipc://PATH",
     .fallback = "", .help = "where nodes of other processes join; empty: nowhere"},
    {.key = "net.on_loss", CHOICE (net_on_loss, s_losses), .allowed = "continue | stop", .fallback = "continue",
     .help = "a process is lost: the others go on from the last committed round, or the run ends"},
    {.key = "net.witness", INTEGER (net_witness, 0, 8), .allowed = "0 <= N <= 8", .fallback = "0",
     .help = "further processes to wait for that only vote (rookery node --witness): two nodes survive the silence of either"},
    {.key = "net.warm", INTEGER (net_warm, 0, RK_WARM_MOST), .allowed = "0 <= N <= 4", .fallback = "0",
     .help = "further nodes that keep each stage's state after every round: if it is lost, and no other replica has it, training goes on from there"},
    {.key = "net.restarts", INTEGER (net_restarts, 0, 1000000), .allowed = "0 <= N <= 1000000", .fallback = "5",
     .help = "times in a row that failed actors of a process are started again; then it leaves the run, or ends it if it is alone"},
    {.key = "net.restart_ms", INTEGER (net_restart_ms, 1, 30000), .allowed = "1 <= N <= 30000", .fallback = "200",
     .help = "milliseconds before the first restart, times 1/2 to 3/2; twice as long before each next one, up to 30 s"},
    {.key = "net.restart_forget", INTEGER (net_restart_forget, 1, 1000000), .allowed = "1 <= N <= 1000000", .fallback = "600",
     .help = "seconds without a failure after which earlier ones count no more"},
};

const rk_setting_row_t *rk_setting_rows (size_t *n_rows)
{
    *n_rows = sizeof s_rows / sizeof *s_rows;
    return s_rows;
}
