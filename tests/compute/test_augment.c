/* SPDX-License-Identifier: MPL-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "compute/data.h"
#include "compute/data/augment.h"

#define H 24
#define W 16
#define ALL (RK_AUGMENT_CROP | RK_AUGMENT_FLIP | RK_AUGMENT_CUTOUT)

static void test_words (void **state)
{
    static const struct {
        const char *text;
        unsigned ways;
    } good[] = {{NULL, 0}, {"", 0}, {"none", 0}, {"crop", RK_AUGMENT_CROP}, {"cutout,flip", RK_AUGMENT_CUTOUT | RK_AUGMENT_FLIP},
                {"crop,flip,cutout", ALL}};
    static const char *const bad[] = {"cro", "crops", "crop,", ",crop", "crop,none", "crop flip", "Crop"};
    unsigned ways;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal (rk_augment_parse (good[i].text, &ways, NULL), RK_OK);
        assert_int_equal (ways, good[i].ways);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rk_error_t err = {0};
        assert_int_equal (rk_augment_parse (bad[i], &ways, &err), RK_EINVAL);
        assert_non_null (strstr (err.text, bad[i]));
    }
}

/* The same in steps that can be followed: border, window, mirror, square. */
static void s_by_hand (const rk_augment_t *how, const float *from, float black, float *to)
{
    static float bordered[(H + 2 * H) * (W + 2 * W)], window[H * W];
    for (size_t i = 0; i < 3 * H; i++)
        for (size_t j = 0; j < 3 * W; j++)
            bordered[i * 3 * W + j] = i >= H && i < 2 * H && j >= W && j < 2 * W ? from[(i - H) * W + j - W] : black;
    for (ptrdiff_t i = 0; i < H; i++)
        memcpy (window + i * W, bordered + (H + how->down + i) * 3 * W + W + how->right, W * sizeof *window);
    for (size_t i = 0; i < H; i++)
        for (size_t j = 0; j < W; j++)
            to[i * W + j] = window[i * W + (how->flip ? W - 1 - j : j)];
    for (size_t i = how->cut_top; i < how->cut_bottom; i++)
        for (size_t j = how->cut_left; j < how->cut_right; j++)
            to[i * W + j] = 0;
}

static void test_pixels (void **state)
{
    uint8_t bytes[H * W];
    float floats[H * W], scaled[H * W], expected[H * W], got[H * W];
    const float scale = 0.25f, shift = -3;
    for (size_t i = 0; i < H * W; i++) {
        bytes[i] = (uint8_t) (i * 7 + 1);
        floats[i] = (float) i + 1;
        scaled[i] = (float) bytes[i] * scale + shift;
    }
    for (uint64_t sample = 0; sample < 200; sample++) {
        const rk_augment_t how = rk_augment_draw (ALL, 3, 1, sample, H, W);
        s_by_hand (&how, floats, 0, expected);
        rk_augment_apply (&how, &(rk_augment_plane_t) {.floats = floats}, H, W, got);
        assert_memory_equal (got, expected, sizeof got);
        s_by_hand (&how, scaled, shift, expected);
        rk_augment_apply (&how, &(rk_augment_plane_t) {.bytes = bytes, .scale = scale, .shift = shift}, H, W, got);
        assert_memory_equal (got, expected, sizeof got);
    }
    const rk_augment_t plain = rk_augment_draw (0, 3, 1, 0, H, W);
    rk_augment_apply (&plain, &(rk_augment_plane_t) {.floats = floats}, H, W, got);
    assert_memory_equal (got, floats, sizeof got);
}

/* Every window, both sides and every centre, about equally often; only what was asked for. */
static void test_draws (void **state)
{
    enum { N = 20000 };
    int down[2 * H / 8 + 1] = {0}, right[2 * W / 8 + 1] = {0}, flipped = 0;
    size_t covered[H] = {0}, pixels = 0;
    for (uint64_t sample = 0; sample < N; sample++) {
        const rk_augment_t how = rk_augment_draw (ALL, 7, 2, sample, H, W);
        assert_true (how.down >= -(H / 8) && how.down <= H / 8 && how.right >= -(W / 8) && how.right <= W / 8);
        down[how.down + H / 8]++;
        right[how.right + W / 8]++;
        flipped += how.flip;
        assert_true (how.cut_top < how.cut_bottom && how.cut_bottom <= H && how.cut_left < how.cut_right && how.cut_right <= W);
        pixels += (how.cut_bottom - how.cut_top) * (how.cut_right - how.cut_left);
        for (size_t i = how.cut_top; i < how.cut_bottom; i++)
            covered[i]++;
    }
    for (size_t i = 0; i < sizeof down / sizeof *down; i++)
        assert_in_range (down[i], N / 7 - N / 50, N / 7 + N / 50);
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        assert_in_range (right[i], N / 5 - N / 50, N / 5 + N / 50);
    assert_in_range (flipped, N / 2 - N / 50, N / 2 + N / 50);
    assert_in_range (covered[H / 2], N / 2 - N / 50, N / 2 + N / 50); /* the middle row: half of all centres reach it */
    assert_in_range (covered[0], 7 * N / 24 - N / 50, 7 * N / 24 + N / 50); /* the edge: 7 of 24 centres do */
    assert_true (pixels / N < H / 2 * W / 2);                         /* some squares stick out */
    const rk_augment_t only = rk_augment_draw (RK_AUGMENT_FLIP, 7, 2, 5, H, W);
    assert_true (only.down == 0 && only.right == 0 && only.cut_bottom == 0);
}

static bool s_same (const rk_augment_t *a, const rk_augment_t *b)
{
    return a->down == b->down && a->right == b->right && a->flip == b->flip && a->cut_top == b->cut_top && a->cut_left == b->cut_left;
}

/* What happens to a sample depends on seed, pass and sample, not on the batch it is in; labels and the test split stay. */
static void test_batches (void **state)
{
    const size_t elems = 784, big = 60, small = 20;
    rk_data_t *data = NULL, *plain = NULL;
    assert_int_equal (rk_data_open (&data, "synthetic", &(rk_data_options_t) {.augment = "crop,flip,cutout"}, NULL), RK_OK);
    assert_int_equal (rk_data_open (&plain, "synthetic", NULL, NULL), RK_OK);
    float *x = malloc (big * elems * sizeof *x), *y = malloc (big * elems * sizeof *y);
    int32_t labels[60], others[60];
    rk_data_batch (data, RK_SPLIT_TRAIN, 1, 3, 2, big, x, labels);
    for (size_t part = 0; part < 3; part++)
        assert_int_equal (rk_data_batch (data, RK_SPLIT_TRAIN, 1, 3, 6 + part, small, y + part * small * elems, others + part * small), small);
    assert_memory_equal (x, y, big * elems * sizeof *x);
    rk_data_batch (plain, RK_SPLIT_TRAIN, 1, 3, 2, big, y, others);
    assert_memory_not_equal (x, y, big * elems * sizeof *x);
    assert_memory_equal (labels, others, sizeof labels);
    rk_data_batch (data, RK_SPLIT_TEST, 1, 3, 2, big, x, NULL);
    rk_data_batch (plain, RK_SPLIT_TEST, 1, 3, 2, big, y, NULL);
    assert_memory_equal (x, y, big * elems * sizeof *x);
    const rk_augment_t a = rk_augment_draw (ALL, 1, 3, 9, 28, 28), b = rk_augment_draw (ALL, 1, 4, 9, 28, 28),
                       c = rk_augment_draw (ALL, 2, 3, 9, 28, 28), same = rk_augment_draw (ALL, 1, 3, 9, 28, 28);
    assert_true (s_same (&a, &same) && !s_same (&a, &b) && !s_same (&a, &c)); /* another pass, another seed */
    free (x);
    free (y);
    rk_data_close (&data);
    rk_data_close (&plain);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_words),
        cmocka_unit_test (test_pixels),
        cmocka_unit_test (test_draws),
        cmocka_unit_test (test_batches),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
