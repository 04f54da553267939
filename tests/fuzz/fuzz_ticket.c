/* SPDX-License-Identifier: MPL-2.0
 * A ticket that somebody types. There is one spelling of each: what is taken is written the same again.    */
#include "actors/security/tickets.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput (const uint8_t *bytes, size_t size)
{
    rk_ticket_t ticket;
    rk_error_t err = {0};
    char again[RK_TICKET_TEXT], *text = malloc (size + 1);
    if (!text)
        return 0;
    memcpy (text, bytes, size);
    text[size] = '\0';
    if (rk_ticket_read (&ticket, text, &err))
        FUZZ_CHECK (err.text[0]);
    else {
        FUZZ_CHECK (rk_ticket_is (text) && strlen (ticket.address) < sizeof ticket.address);
        rk_ticket_write (&ticket, again);
        FUZZ_CHECK (strcmp (again, text) == 0);
    }
    free (text);
    return 0;
}
