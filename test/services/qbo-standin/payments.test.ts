/** What the stand-in's books allow of payments. */
import { expect, it } from "vitest";
import { Books } from "../../../services/qbo-standin/books.ts";
import { StandinClock } from "../../../services/qbo-standin/clock.ts";
import { makeInvoice } from "../../../services/qbo-standin/control.ts";

it("a payment is linked to invoices of its own customer only", () => {
  const books = new Books("1", new StandinClock(), () => undefined);
  const invoice = makeInvoice(books, { customer: "C", amount: 100 });
  const other = books.createCustomer({ DisplayName: "D" });
  const pay = (customer: string) => books.createPayment({ CustomerRef: { value: customer }, TotalAmt: 100, Line: [{ Amount: 100, LinkedTxn: [{ TxnId: invoice.Id, TxnType: "Invoice" }] }] });
  expect(() => pay(other.Id)).toThrow("business validation");
  expect([books.payments.size, invoice.Balance]).toEqual([0, 100]);
  pay(invoice.CustomerRef.value);
  expect(invoice.Balance).toBe(0);
});
