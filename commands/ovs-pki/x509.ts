/** The X.509 library, behind the polyfill that its dependency injection wants first. */
import "reflect-metadata";

export * from "@peculiar/x509";
