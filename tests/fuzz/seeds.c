/* SPDX-License-Identifier: MPL-2.0
 * Writes the first inputs of the fuzzers: seeds FOLDER makes FOLDER/<target>/<file>. The committed corpus holds
 * those of the stable formats and what the fuzzers find; plans and settings change, so they are made anew.  */
#include <sys/stat.h>
#include <zlib.h>

#include "actors/checkpoint.h"
#include "actors/security/tickets.h"
#include "cluster/plan.h"
#include "cluster/view.h"
#include "messages/safetensors.h"
#include "tests/fuzz/fuzz.h"
#include "tests/messages/sample.h"

static const char *s_folder;
static int s_failed;

static const char *s_path (const char *target, const char *name)
{
    static char path[4096];
    snprintf (path, sizeof path, "%s/%s", s_folder, target);
    mkdir (path, 0777);
    snprintf (path, sizeof path, "%s/%s/%s", s_folder, target, name);
    return path;
}

static void s_save (const char *target, const char *name, const void *bytes, size_t n)
{
    int fd = open (s_path (target, name), O_WRONLY | O_CREAT | O_TRUNC, 0666);
    s_failed |= fd < 0 || write (fd, bytes, n) != (ssize_t) n;
    if (fd >= 0)
        close (fd);
}

static void s_envelopes (void)
{
    static sample_t sample = {.state = 0x9e3779b97f4a7c15ull};
    static uint8_t bytes[1 << 17];
    for (int kind = 1; kind < RK_N_MSG; kind++) {
        size_t n;
        do { /* small ones: a fuzzer changes a byte at a time */
            rk_msg_t msg = sample_msg (&sample, (rk_msg_kind_t) kind);
            n = rk_wire_pack (&msg, bytes, sizeof bytes);
        } while (n > 300);
        s_save ("envelope", rk_msg_kind_name ((rk_msg_kind_t) kind), bytes, n);
    }
}

static void s_safetensors (void)
{
    static const float x[6] = {1, -2, 3, -4, 5, 6};
    const rk_st_tensor_t tensors[] = {{"conv1.weight", 2, {2, 3}, x, 6}, {"conv1.bias", 1, {2}, x, 2}, {"s", 0, {0}, x, 1}};
    const char *const metadata[] = {"round", "7"};
    s_failed |= rk_st_write (s_path ("safetensors", "three"), tensors, 3, metadata, 1, NULL) != RK_OK;
    s_failed |= rk_st_write (s_path ("safetensors", "none"), NULL, 0, NULL, 0, NULL) != RK_OK;
}

/* What a checkpoint of this plan says of itself: key, 0, value, 0, ... */
static void s_checkpoint (const rk_plan_t *plan)
{
    static uint8_t bytes[1 << 14];
    static char hex[2 * sizeof bytes + 1], text[1 << 16];
    const size_t n = rk_plan_encode (plan, bytes, sizeof bytes);
    for (size_t i = 0; i < n && n <= sizeof bytes; i++)
        snprintf (hex + 2 * i, 3, "%02x", bytes[i]);
    const char *const pairs[] = {"format", RK_CHECKPOINT_FORMAT, "rounds", "0", "next_minibatch", "0", "replicas", "1", "apart", "0",
                                 "replica.0", "steps=00000000000000000012 good=00000000000000000003 loss_scale=3f800000 frozen=0",
                                 "planes", "params state0", "control", "3 8\n7 4\n", "settings", "train.lr = 1e-3\n", "plan", hex};
    size_t at = 0;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs && at + strlen (pairs[i]) < sizeof text; i++) {
        memcpy (text + at, pairs[i], strlen (pairs[i]) + 1);
        at += strlen (pairs[i]) + 1;
    }
    s_save ("checkpoint", "one", text, at);
    snprintf (text, sizeof text, "{\"canonical\":[\"%s\"]}", hex);
    s_save ("planfile", "one", text, strlen (text));
    s_save ("control", "two", "3 8\n7 4\n", 8);
}

static void s_plan (const char *name, uint32_t n_clusters, const uint32_t *counts, const uint32_t *cuts)
{
    static uint8_t bytes[1 << 16];
    rk_layer_info_t layers[4];
    for (uint32_t i = 0; i < 4; i++)
        layers[i] = (rk_layer_info_t) {.flat_at = 100 * i, .stash_bytes = 4000, .work_bytes = 4000, .cut_bytes = 4000};
    rk_model_info_t model = {.n_layers = 4, .layers = layers, .n_flat = 400, .label_bytes = 256, .optimizer_slots = 1,
                             .train_samples = 600, .test_samples = 100};
    rk_settings_t settings;
    rk_plan_t *plan = NULL;
    rk_settings_default (&settings);
    s_failed |= rk_plan_by_hand (&plan, 1, &model, &settings, n_clusters, counts, cuts, NULL, NULL) != RK_OK;
    if (plan)
        s_save ("plan", name, bytes, rk_plan_encode (plan, bytes, sizeof bytes));
    if (plan && n_clusters == 1)
        s_checkpoint (plan);
    rk_plan_destroy (&plan);
}

static void s_plans (void)
{
    static const uint32_t one[] = {1}, two[] = {2, 1}, cuts[] = {0, 2, 0};
    s_plan ("one", 1, one, cuts);
    s_plan ("two", 2, two, cuts);
}

static void s_view (void)
{
    static uint8_t bytes[1 << 16];
    static const uint8_t plan[] = {1, 2, 3};
    rk_view_t *view = NULL;
    s_failed |= rk_view_new (&view, 2, plan, sizeof plan) != RK_OK;
    if (!view)
        return;
    view->number = 2;
    view->next_id = 2;
    view->next_node = 1;
    view->members[0] = (rk_view_member_t){.id = 0, .node = RK_NO_NODE, .pid = 10, .name = "first", .control = "tcp://127.0.0.1:1"};
    view->members[1] = (rk_view_member_t){.id = 1, .node = 0, .pid = 11, .name = "second"};
    s_save ("view", "two", bytes, rk_view_encode (view, bytes, sizeof bytes));
    rk_view_destroy (&view);
}

static void s_ticket (void)
{
    static const rk_ticket_t ticket = {.address = "tcp://192.0.2.7:5600", .leader = {1, 2, 3}, .secret = {4, 5, 6}};
    char text[RK_TICKET_TEXT];
    rk_ticket_write (&ticket, text);
    s_save ("ticket", "one", text, strlen (text));
}

static void s_settings (void)
{
    static char text[1 << 16];
    static const char by_hand[] = "fleet.node = a 0.5 100\nfleet.node = b 1 0\nfleet.layout = 2 1\ntrain.lr = 1e-3\n";
    rk_settings_t settings;
    rk_settings_default (&settings);
    s_save ("settings", "default", text, rk_settings_write (&settings, text, sizeof text));
    s_save ("settings", "by-hand", by_hand, sizeof by_hand - 1);
}

static void s_idx (void)
{
    static const uint8_t images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    static const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3};
    s_save ("idx", "images", images, sizeof images);
    s_save ("idx", "labels", labels, sizeof labels);
    gzFile gz = gzopen (s_path ("idx", "images.gz"), "wb");
    s_failed |= !gz || gzwrite (gz, images, sizeof images) != (int) sizeof images;
    if (gz)
        s_failed |= gzclose (gz) != Z_OK;
}

static void s_formats (void)
{
    static uint8_t records[2 * 3074];
    static const char csv[] = "\1a,b,class\n1,-2.5e1,0\r\n\"3\",4,1\n", bare[] = "\2" "0,1\n1,2\n";
    static const uint8_t npy[] = "\x93NUMPY\1\0\x3a\0{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }\n\1\0\0\0\2\0\0";
    static const char chars[] = "\4\4In the beginning God created the heaven and the earth.\nAnd the earth was without form";
    static const char pairs[] = "\2\11the cat, the hat: the cat sat on the 12 mats that the hat had.\n\tthe end of the cat";
    s_save ("text", "characters", chars, sizeof chars - 1);
    s_save ("text", "pairs", pairs, sizeof pairs - 1);
    for (size_t i = 0; i < sizeof records; i++)
        records[i] = (uint8_t) (i % 7);
    s_save ("cifar", "cifar10", records, 3073);
    s_save ("cifar", "cifar100", records, 3074);
    s_save ("csv", "header", csv, sizeof csv - 1);
    s_save ("csv", "bare", bare, sizeof bare - 1);
    s_save ("numpy", "i4", npy, sizeof npy);
}

int main (int argc, char **argv)
{
    if (argc != 2) {
        fprintf (stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    s_folder = argv[1];
    mkdir (s_folder, 0777);
    s_envelopes ();
    s_safetensors ();
    s_plans ();
    s_view ();
    s_ticket ();
    s_settings ();
    s_idx ();
    s_formats ();
    if (s_failed)
        fprintf (stderr, "%s: some seeds could not be made\n", s_folder);
    return s_failed;
}
